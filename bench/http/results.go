package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"prefork/bench/chart"
	"prefork/bench/peer"
)

// resultsDir is where results are kept, below the root of the tree.
const resultsDir = "bench/results/http"

// results are all that one run has to tell.
type results struct {
	facts    []peer.Fact
	subjects []subject
	sections []section
	notes    []string // about the run as a whole
	size     size
	rounds   int
}

// show prints the tables.
func (r results) show(stdout io.Writer) {
	for _, line := range r.remarks() {
		fmt.Fprintln(stdout, line)
	}
	for _, s := range r.sections {
		fmt.Fprintln(stdout, s.table().Text())
	}
	if len(limits(r.sections)) > 0 {
		fmt.Fprintln(stdout, r.verdicts().Text())
	}
}

// remarks are what holds for all tables: who is not there, and why.
func (r results) remarks() []string {
	var all []string
	for _, s := range r.subjects {
		if s.missing != "" {
			all = append(all, "Left out: "+s.title+": "+oneLine(s.missing))
		}
	}
	return append(all, r.notes...)
}

func (r results) verdicts() chart.Table {
	return chart.Verdicts("What prefork must keep", limits(r.sections))
}

// write replaces the results in a folder by these. args are those of the command.
func (r results) write(dir string, args []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := draw(dir, r.subjects, r.sections); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(r.markdown(args)), 0o644)
}

const preamble = `# What a request costs: prefork beside its peers

Written by ` + "`%s`" + `: do not edit. Each subject has one worker, which is bound with all of its processes to one core, and the load
generator to another. %d clients ask as fast as they are answered, over connections that stay or over a new one each time; the answer has %d bytes
of text. In each of %d rounds the subjects take turns, each in a new process: %s to warm up, then %s measured.

CPU is the user and system time of all processes of a subject (of prefork: master and worker) divided by the answers. Values are medians of the
rounds with the lowest and the highest, "to nginx" is calculated in each round and its 95 %% interval is that of the mean. "busy" is a share of a
core. A server that is not busy all the time sleeps and wakes between requests, and that is part of what it costs.

Memory is what no file stands behind (Pss_Anon), %d connections after one request each, against the same server after as many that have been
closed again; "the first ones" are those, against the fresh server. A Go program, and Node.js, keep what they had: read both.

Why each is set up as it is: [bench/http/doc.go](../../http/doc.go).

`

func (r results) markdown(args []string) string {
	var text strings.Builder
	command := strings.Join(append([]string{"go run ./bench/http"}, args...), " ")
	fmt.Fprintf(&text, preamble, command, clients, len(body), r.rounds, r.size.warm, r.size.slice, r.size.connections)
	machine := chart.Table{Header: []string{"", ""}, Notes: r.remarks()}
	for _, f := range r.facts {
		machine.Rows = append(machine.Rows, []string{f.Name, "`" + f.Value + "`"})
	}
	text.WriteString(machine.Markdown() + "\n")
	text.WriteString(r.verdicts().Markdown() + "\n")
	fmt.Fprintf(&text, "![CPU for one request](%s)\n\n![memory for one idle connection](%s)\n\n", costPlot, idlePlot)
	for _, s := range r.sections {
		text.WriteString(s.table().Markdown() + "\n")
	}
	return strings.TrimRight(text.String(), "\n") + "\n"
}
