package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prefork/bench/chart"
	"prefork/bench/load"
	"prefork/bench/peer"
)

// Rows that nobody measured.

const ms = time.Millisecond

func report(answered, reset int, p99 time.Duration) load.Report {
	return load.Report{
		Scheduled: answered + reset, Sent: answered + reset, Answered: answered,
		Failed:  map[load.Class]int{load.Reset: reset},
		Latency: load.Quantiles{P50: ms, P99: p99, P999: 2 * p99, Max: 3 * p99},
		BySlot:  map[int]int{0: 30, 1: 20, 2: 40, 3: 25},
		ByPID:   map[int]int{10: 30, 11: 20, 12: 40, 13: 25},
	}
}

func madeUp(name string, reports ...load.Report) row {
	r := row{subject: subject{name: name, title: "the " + name}, title: "the " + name, rate: 500}
	for _, report := range reports {
		r.add(report, 1, byPID)
	}
	return r
}

func madeUpSections() []section {
	ours := madeUp("prefork", report(9000, 0, 5*ms), report(9000, 1, 7*ms), report(9000, 0, 6*ms))
	shared := madeUp("prefork-shared", report(9000, 0, 10*ms), report(9000, 0, 4*ms), report(9000, 0, 5*ms))
	absent := madeUp("nginx")
	absent.skipped = "not installed"
	rows := []row{ours, shared, absent}
	l := limits{lost: func(hurt int) int { return hurt }, p99: 5 * ms, p99Ratio: 1.25}
	return []section{
		{name: "hang", title: "A worker hangs", rows: rows, limits: l.check(rows)},
		{name: "cost", title: "What it costs", costs: []cost{{
			load: "saturated", most: 1.02,
			with: []time.Duration{99 * time.Microsecond, 101 * time.Microsecond}, without: []time.Duration{100 * time.Microsecond, 100 * time.Microsecond},
		}}},
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	sections := madeUpSections()
	for i, want := range []string{
		"A worker hangs\n" +
			"  subject             requests/s  scheduled  answered  lost  opened            how  p50 ms  p99 ms  p99.9 ms  max ms  spread\n" +
			"  the prefork                500      27001     27000     1       –        1 reset    1.00    6.00      12.0    21.0    2.00\n" +
			"  the prefork-shared         500      27000     27000     0       –                   1.00    5.00      10.0    30.0    2.00\n" +
			"  the nginx                    –          –         –     –       –  not installed\n",
		"What it costs\n" +
			"  load       pairs  --helpers 0 µs  --helpers 2 µs  ratio   95 % interval  limit\n" +
			"  saturated      2           100.0           100.0  1.000  0.881 to 1.135   1.02\n",
	} {
		if got := sections[i].table().Text(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	sections := madeUpSections()
	want := "What prefork must keep\n" +
		"  case                                            what     seen        at most  verdict\n" +
		"  hang                                            lost        1              3    holds\n" +
		"  hang                                        answered    100 %  at least 90 %    holds\n" +
		"  hang                                             p99  6.00 ms        5.00 ms   BROKEN\n" +
		"  hang  p99 to that of --queue shared, median of pairs     1.20           1.25    holds\n"
	if got := verdicts(sections).Text(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := chart.Broken(judged(sections), false); len(got) != 0 {
		t.Errorf("a latency fails the run: %q", got)
	}
	if got := chart.Broken(judged(sections), true); len(got) != 1 || !strings.Contains(got[0], "hang: p99 6.00 ms") {
		t.Errorf("with -strict: got %q, want the p99 alone", got)
	}
}

func TestCountsAreJudged(t *testing.T) {
	t.Parallel()
	none := limits{lost: func(int) int { return 0 }}
	skipped := madeUp("prefork")
	skipped.skipped = "did not start"
	givenUp := madeUp("prefork", report(100, 0, ms))
	givenUp.skipped = "did not start again"
	tests := map[string]struct {
		rows []row
		want string // part of the one broken limit; empty: none
	}{
		"nothing lost":         {rows: []row{madeUp("prefork", report(100, 0, ms))}},
		"one lost":             {rows: []row{madeUp("prefork", report(100, 1, ms))}, want: "lost 1, limit 0"},
		"others lose":          {rows: []row{madeUp("prefork", report(100, 0, ms)), madeUp("nginx", report(50, 50, ms))}},
		"no figures":           {rows: []row{skipped}, want: "did not start"},
		"figures of one round": {rows: []row{givenUp}, want: "did not start again"},
		"prefork not asked":    {rows: []row{madeUp("nginx", report(1, 99, ms))}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := chart.Broken(judged([]section{{name: "x", limits: none.check(test.rows)}}), false)
			if test.want == "" && len(got) == 0 {
				return
			}
			if test.want == "" || len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Errorf("got %q, want one with %q", got, test.want)
			}
		})
	}
	half := madeUp("prefork", report(50, 0, ms), report(10, 50, ms))
	many := limits{lost: func(int) int { return 1000 }}
	if got := chart.Broken(judged([]section{{limits: many.check([]row{half})}}), false); len(got) != 1 || !strings.Contains(got[0], "answered 54.55 %") {
		t.Errorf("60 of 110 answered: got %q", got)
	}
}

// The cost is within its limit as long as chance can explain what is beyond it.
func TestCostIsJudgedByTheLowerEnd(t *testing.T) {
	t.Parallel()
	of := func(with ...time.Duration) cost {
		c := cost{load: "x", most: 1.02, with: with}
		for range with {
			c.without = append(c.without, 100)
		}
		return c
	}
	if l := of(100, 110, 104).limit(); !l.Holds || !l.Soft {
		t.Errorf("a wide interval around 1.05: got %+v", l)
	}
	if l := of(105, 105, 106).limit(); l.Holds {
		t.Errorf("a narrow interval around 1.05: got %+v", l)
	}
	if l := of(100).limit(); l.Holds {
		t.Errorf("one pair has no interval: got %+v", l)
	}
}

func TestDisturbed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*load.Report)
		want   bool
	}{
		"on time":             {change: func(r *load.Report) { r.Late = 5 }},
		"late":                {change: func(r *load.Report) { r.Late = 6 }, want: true},
		"late and timed out":  {change: func(r *load.Report) { r.Late, r.Failed = 6, map[load.Class]int{load.TimedOut: 9} }, want: true},
		"late and reset":      {change: func(r *load.Report) { r.Late, r.Failed = 6, map[load.Class]int{load.Reset: 1} }},
		"waited for a client": {change: func(r *load.Report) { r.Late, r.Mode = 60, load.KeepAlive }},
	}
	for name, test := range tests {
		r := report(100, 0, ms)
		r.Mode = load.NewConnection
		test.change(&r)
		if got := disturbed(r); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
	rows := []row{madeUp("prefork"), {title: "nginx", disturbed: 2}}
	if got := disturbances(rows); len(got) != 1 || !strings.HasPrefix(got[0], "nginx: ") {
		t.Errorf("got %q, want one line about nginx", got)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	r := report(1, 0, ms)
	three := load.Report{ByPID: map[int]int{1: 5, 2: 5, 3: 5}}
	for name, test := range map[string]struct {
		got, want float64
	}{
		"by PID":               {spreadOf(r, byPID, false), 2},
		"by slot":              {spreadOf(r, bySlot, true), 2},
		"by slot, has none":    {spreadOf(r, bySlot, false), math.NaN()},
		"not asked":            {spreadOf(r, noSpread, true), math.NaN()},
		"one took nothing":     {spreadOf(three, byPID, false), math.Inf(1)},
		"answers name nobody":  {spreadOf(load.Report{}, byPID, true), math.NaN()},
		"no round at all":      {row{}.spread(), math.NaN()},
		"unknown in one round": {row{spreads: []float64{math.NaN(), 3}}.spread(), 3},
	} {
		if test.got != test.want && !(math.IsNaN(test.got) && math.IsNaN(test.want)) {
			t.Errorf("%s: got %v, want %v", name, test.got, test.want)
		}
	}
}

func TestWriteResults(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "results")
	missing := subject{name: "nginx", title: "the nginx", missing: "not\ninstalled"}
	sections := madeUpSections()
	r := results{
		facts:    []peer.Fact{{Name: "kernel", Value: "Linux 6"}},
		subjects: []subject{sections[0].rows[0].subject, sections[0].rows[1].subject, missing},
		sections: sections, repeat: 3,
	}
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"| kernel | `Linux 6` |", "Left out: the nginx: not; installed", "![requests lost](lost.svg)", "![latencies](latency-hang.svg)",
		"| the prefork | 500 | 27001 | 27000 | 1 | – | 1 reset |", "| the nginx | – | – | – | – | – | not installed |", "| hang | p99 |",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("README.md lacks %q:\n%s", part, text)
		}
	}
	checkSVG(t, filepath.Join(dir, lostPlot), "the prefork", "the nginx", "n/a", "0.37") // 1 of 27,001
	checkSVG(t, filepath.Join(dir, latencyPlot(sections[0])), "the prefork", "p99.9")
	if _, err := os.Stat(filepath.Join(dir, latencyPlot(sections[1]))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a drawing of latencies that nobody measured: %v", err)
	}
}

func checkSVG(t *testing.T, path string, parts ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	for _, part := range parts {
		if !strings.Contains(string(text), ">"+part+"<") {
			t.Errorf("%s lacks %q", path, part)
		}
	}
}

func TestKeptConnections(t *testing.T) {
	t.Parallel()
	kept := report(9000, 0, 5*ms)
	kept.Mode, kept.Connections = load.KeepAlive, keptConnections+reopenedMax+1
	stirred := []row{madeUp("prefork", kept)}
	if got := stirred[0].cells()[5]; got != "71" {
		t.Errorf("opened: got %s", got)
	}
	limits := limits{reopened: reopenedMax}.check(stirred)
	if len(limits) != 1 || limits[0].Holds || limits[0].Most != "70" {
		t.Errorf("got %+v, want a broken limit of 70", limits)
	}
	quiet := report(9000, 0, -3*ms) // 2 x -3 + 10
	for p99, holds := range map[time.Duration]bool{4 * ms: true, 5 * ms: false} {
		stirred[0].reports[0].Latency.P99 = p99
		got := beside([]row{madeUp("prefork", quiet)}, stirred)
		if len(got) != 1 || got[0].Holds != holds {
			t.Errorf("p99 %v: got %+v, want that it holds: %v", p99, got, holds)
		}
	}
}
