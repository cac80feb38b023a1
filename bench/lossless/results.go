package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"prefork/bench/chart"
	"prefork/bench/peer"
)

// resultsDir is where results are kept, below the root of the tree.
const resultsDir = "bench/results/lossless"

// facts are what a reader of the results wants to know about the run.
func facts(ctx context.Context, p programs, now time.Time) []peer.Fact {
	all := append(peer.Machine(now), peer.Fact{Name: "prefork", Value: peer.VersionOf(ctx, p.prefork, "version")})
	for _, other := range []struct {
		name, path, flag string
	}{{"nginx", p.nginx, "-v"}, {"gunicorn", p.gunicorn, "--version"}} {
		value := "not there"
		if other.path != "" {
			value = peer.VersionOf(ctx, other.path, other.flag)
		}
		all = append(all, peer.Fact{Name: other.name, Value: value})
	}
	return all
}

// results are all that one run has to tell.
type results struct {
	facts    []peer.Fact
	subjects []subject
	sections []section
	repeat   int
}

// write replaces the results in a folder by these.
func (r results) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := draw(dir, r.subjects, r.sections); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(r.markdown()), 0o644)
}

const preamble = `# What is lost: prefork beside its peers

Written by ` + "`go run ./bench/lossless -write`" + `: do not edit. All subjects have 4 workers and run one after the other on one machine, with the load
generator beside them; requests come at a fixed rate, over new connections unless it says otherwise, and nothing is tried again. What is not
answered within %s is lost. Counts are sums over the repetitions (%d, more where pairs are compared), p50 to p99.9 are medians of them, max is the longest of all.
Latencies are those of the answered requests, from the moment each was due. "spread" is the most that a worker took, divided by the least. "opened" is the most
connections that a load has opened where %d clients keep theirs: one that is opened again was closed under its client.

gunicorn is asked for at most %d requests a second: at the rates of the others it would lose requests because it is slow, and not because of
the event.

`

func (r results) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, preamble, clientPatience, r.repeat, keptConnections, gunicornRateMax)
	machine := chart.Table{Header: []string{"", ""}}
	for _, f := range r.facts {
		machine.Rows = append(machine.Rows, []string{f.Name, "`" + f.Value + "`"})
	}
	machine.Notes = leftOut(r.subjects)
	text.WriteString(machine.Markdown() + "\n")
	fmt.Fprintf(&text, "![requests lost](%s)\n\n", lostPlot)
	text.WriteString(verdicts(r.sections).Markdown() + "\n")
	for _, s := range r.sections {
		text.WriteString(s.table().Markdown() + "\n")
		if len(s.rows) > 0 {
			fmt.Fprintf(&text, "![latencies](%s)\n\n", latencyPlot(s))
		}
	}
	return strings.TrimRight(text.String(), "\n") + "\n"
}
