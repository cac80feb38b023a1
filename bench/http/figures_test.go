package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork/bench/chart"
	"prefork/bench/peer"
)

// Rows that nobody measured.

func madeUp(name string, values ...float64) row {
	r := row{subject: subject{definition: definition{name: name, title: "the " + name}}}
	for _, v := range values {
		r.samples = append(r.samples, sample{value: v, first: 2 * v, perSecond: 1e6 / v, server: 0.5, generator: 0.875})
	}
	return r
}

func absent(name, reason string) row {
	r := madeUp(name)
	r.subject.missing, r.skipped = reason, reason
	return r
}

func madeUpSections() []section {
	givenUp := madeUp("gnet", 30)
	givenUp.skipped = "it\nended"
	return []section{
		{mode: keepAlive, rows: []row{madeUp("prefork", 9, 12, 8.5), madeUp("nginx", 10, 10, 10), givenUp, absent("node", "not installed")}},
		{mode: idle, rows: []row{madeUp("prefork", 100, 300, 200), madeUp("nginx", 500), absent("node", "not installed")}},
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	sections := madeUpSections()
	for i, want := range []string{
		titles[keepAlive] + "\n" +
			"  subject      CPU µs  lowest  highest  to nginx  lowest  highest   95 % interval  requests/s  server busy  generator busy\n" +
			"  the prefork    9.00    8.50    12.00     0.900   0.850    1.200  0.614 to 1.538      111111         50 %            88 %\n" +
			"  the nginx     10.00   10.00    10.00     1.000   1.000    1.000  1.000 to 1.000      100000         50 %            88 %\n" +
			"  the gnet      30.00   30.00    30.00     3.000   3.000    3.000               –       33333         50 %            88 %\n" +
			"  the node          –\n" +
			"  the gnet was given up after round 1: it; ended\n",
		titles[idle] + "\n" +
			"  subject      bytes  lowest  highest  the first ones\n" +
			"  the prefork    200     100      300             400\n" +
			"  the nginx      500     500      500            1000\n" +
			"  the node         –\n",
	} {
		if got := sections[i].table().Text(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	nginx := madeUp("nginx", 10, 20, 10)
	failed := madeUp("prefork", 1)
	failed.skipped = "did not start again"
	tests := map[string]struct {
		mode mode
		rows []row
		want string // part of the one broken limit; empty: it holds
	}{
		"kept, at the limit":    {mode: keepAlive, rows: []row{madeUp("prefork", 9.5, 19, 9.5), nginx}},
		"kept, above":           {mode: keepAlive, rows: []row{madeUp("prefork", 9.6, 19.2, 9.6), nginx}, want: "keepalive: CPU to that of nginx 0.960, limit 0.95"},
		"kept, above once":      {mode: keepAlive, rows: []row{madeUp("prefork", 9, 18, 30), nginx}},
		"by pairs":              {mode: keepAlive, rows: []row{madeUp("prefork", 9.9, 9.9, 9.9), nginx}, want: "0.990"},
		"short, at the limit":   {mode: short, rows: []row{madeUp("prefork", 10, 20, 10), nginx}},
		"short, above":          {mode: short, rows: []row{madeUp("prefork", 11, 22, 11), nginx}, want: "short: CPU to that of nginx 1.100, limit 1.00"},
		"idle, at the limit":    {mode: idle, rows: []row{madeUp("prefork", 128)}}, // and 256 for the first ones
		"idle, above":           {mode: idle, rows: []row{madeUp("prefork", 129), nginx}, want: "idle: bytes for a connection 258, limit 256"},
		"no figures":            {mode: idle, rows: []row{absent("prefork", "did not start")}, want: "did not start"},
		"no figures any more":   {mode: short, rows: []row{failed, nginx}, want: "did not start again"},
		"nothing to compare":    {mode: short, rows: []row{madeUp("prefork", 99), absent("nginx", "not installed")}},
		"nginx not asked for":   {mode: short, rows: []row{madeUp("prefork", 99)}},
		"prefork not asked for": {mode: short, rows: []row{nginx}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := chart.Broken(limits([]section{{mode: test.mode, rows: test.rows}}), false)
			if test.want == "" && len(got) == 0 {
				return
			}
			if test.want == "" || len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Errorf("got %q, want one with %q", got, test.want)
			}
		})
	}
	skipped := limits([]section{{mode: short, rows: []row{madeUp("prefork", 99), absent("nginx", "not installed")}}})
	if len(skipped) != 1 || skipped[0].Got != "no nginx: not installed" {
		t.Errorf("without nginx: got %+v, want that it is said", skipped)
	}
}

func TestSample(t *testing.T) {
	t.Parallel()
	got := loaded{Answered: 50_000, Elapsed: 2 * time.Second, cpu: 1500 * time.Millisecond}.sample(500 * time.Millisecond)
	if want := (sample{value: 10, perSecond: 25_000, server: 0.25, generator: 0.75}); got != want {
		t.Errorf("load: got %+v, want %+v", got, want)
	}
	got = memory{fresh: 1000, first: 9000, emptied: 4000, again: 8000}.sample(10)
	if want := (sample{value: 400, first: 800}); got != want {
		t.Errorf("memory: got %+v, want %+v", got, want)
	}
}

// Each subject begins in some round, and follows the one that it was before.
func TestTurn(t *testing.T) {
	t.Parallel()
	for round, want := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}, {1, 0, 2}, {0, 1, 2}} {
		if got := turn(3, round); !slices.Equal(got, want) {
			t.Errorf("round %d: got %v, want %v", round, got, want)
		}
	}
}

func TestWriteResults(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "results")
	sections := madeUpSections()
	r := results{facts: []peer.Fact{{Name: "kernel", Value: "Linux 6"}}, sections: sections, size: fullSize, rounds: 3, notes: []string{"One core."}}
	for _, row := range sections[0].rows {
		r.subjects = append(r.subjects, row.subject)
	}
	sections[1].rows = slices.Insert(sections[1].rows, 2, madeUp("gnet", 512))
	if err := r.write(dir, []string{"-write", "-rounds", "3"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"`go run ./bench/http -write -rounds 3`", "| kernel | `Linux 6` |", "Left out: the node: not installed", "One core.", "(cost.svg)", "(idle.svg)",
		"| the prefork | 9.00 | 8.50 | 12.00 | 0.900 |", "| the prefork | 200 | 100 | 300 | 400 |", "| keepalive | CPU to that of nginx | 0.900 | 0.95 | holds |",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("README.md lacks %q:\n%s", part, text)
		}
	}
	checkSVG(t, filepath.Join(dir, costPlot), "the prefork", "the node", "n/a", "30")
	checkSVG(t, filepath.Join(dir, idlePlot), "the nginx", "500", "1000", "n/a", "of a fresh server")
}

func checkSVG(t *testing.T, path string, parts ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	for err == nil {
		_, err = decoder.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("%s is no XML: %v", path, err)
	}
	for _, part := range parts {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s lacks %q", path, part)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{number(9.456, 2): "9.46", number(math.NaN(), 2): "–", percent(0.504): "50 %"} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
