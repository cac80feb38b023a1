package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"prefork/bench/load"
	"prefork/bench/stats"
)

// spreadBy says what answers are counted by, to see who took how much.
type spreadBy int

const (
	noSpread spreadBy = iota // workers come, go or stand still: it would say nothing
	bySlot                   // successors count with those before them
	byPID                    // the workers stay
)

// row is one subject in one event, over all repetitions.
type row struct {
	subject subject
	title   string
	rate    int
	skipped string // why there are no figures
	reports []load.Report
	spreads []float64 // one for each report; NaN: unknown
	hurt    int       // workers stopped or killed, in all
	// disturbed are the rounds that were made again, see the function.
	disturbed int
}

func (e event) newRow(s subject) row {
	r := row{subject: s, title: s.title, rate: e.rate, skipped: s.missing}
	if s.rateMax > 0 {
		r.rate = min(r.rate, s.rateMax)
	}
	if r.skipped == "" && e.unable != nil {
		r.skipped = e.unable(s)
	}
	return r
}

func (r *row) add(report load.Report, hurt int, by spreadBy) {
	r.reports = append(r.reports, report)
	r.hurt += hurt
	r.spreads = append(r.spreads, spreadOf(report, by, r.subject.slots))
}

// spreadOf is the most that a worker took, divided by the least; NaN: unknown.
func spreadOf(report load.Report, by spreadBy, slots bool) float64 {
	counts := report.ByPID
	if by == bySlot {
		counts = report.BySlot
	}
	if by == noSpread || by == bySlot && !slots || len(counts) == 0 {
		return math.NaN()
	}
	if len(counts) < workers {
		return math.Inf(1) // somebody took nothing
	}
	least, most := math.MaxInt, 0
	for _, n := range counts {
		least, most = min(least, n), max(most, n)
	}
	return float64(most) / float64(least)
}

func (r row) sum(count func(load.Report) int) int {
	sum := 0
	for _, report := range r.reports {
		sum += count(report)
	}
	return sum
}

func (r row) scheduled() int { return r.sum(func(r load.Report) int { return r.Scheduled }) }
func (r row) answered() int  { return r.sum(func(r load.Report) int { return r.Answered }) }
func (r row) lost() int      { return r.sum(load.Report.Lost) }

// opened is the most connections that a load has opened.
func (r row) opened() int {
	most := 0
	for _, report := range r.reports {
		most = max(most, report.Connections)
	}
	return most
}

// openedCell is empty where each request has a connection of its own.
func (r row) openedCell() string {
	if r.reports[0].Mode != load.KeepAlive {
		return "–"
	}
	return strconv.Itoa(r.opened())
}

// classes says how requests were lost: "3 reset, 1 timeout".
func (r row) classes() string {
	byClass := map[load.Class]int{}
	unsent := 0
	for _, report := range r.reports {
		for class, n := range report.Failed {
			byClass[class] += n
		}
		unsent += report.Unsent
	}
	var parts []string
	for class := load.Refused; class <= load.BadAnswer; class++ {
		if n := byClass[class]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, class))
		}
	}
	if unsent > 0 {
		parts = append(parts, fmt.Sprintf("%d unsent", unsent))
	}
	return strings.Join(parts, ", ")
}

// The quantiles that are shown.
var quantileNames = []string{"p50", "p99", "p99.9", "max"}

// quantiles are the medians of those of the repetitions, and the longest of all.
func (r row) quantiles() []time.Duration {
	middle := func(of func(load.Quantiles) time.Duration) time.Duration {
		var all []float64
		for _, report := range r.reports {
			all = append(all, float64(of(report.Latency)))
		}
		return time.Duration(stats.Median(all))
	}
	var longest time.Duration
	for _, report := range r.reports {
		longest = max(longest, report.Latency.Max)
	}
	return []time.Duration{
		middle(func(q load.Quantiles) time.Duration { return q.P50 }),
		middle(func(q load.Quantiles) time.Duration { return q.P99 }),
		middle(func(q load.Quantiles) time.Duration { return q.P999 }),
		longest,
	}
}

// spread is the median of the repetitions'; NaN: unknown.
func (r row) spread() float64 {
	known := slices.DeleteFunc(slices.Clone(r.spreads), math.IsNaN)
	return stats.Median(known)
}

// cells are the row as a table shows it.
func (r row) cells() []string {
	if len(r.reports) == 0 {
		return []string{r.title, "–", "–", "–", "–", "–", r.skipped}
	}
	cells := []string{
		r.title, strconv.Itoa(r.rate), strconv.Itoa(r.scheduled()), strconv.Itoa(r.answered()),
		strconv.Itoa(r.lost()), r.openedCell(), r.remarks(),
	}
	for _, q := range r.quantiles() {
		cells = append(cells, milliseconds(q))
	}
	return append(cells, ratioText(r.spread()))
}

// remarks say how requests were lost, and why a later repetition has no figures.
func (r row) remarks() string {
	if r.skipped == "" {
		return r.classes()
	}
	return strings.TrimPrefix(r.classes()+"; then given up: "+r.skipped, "; ")
}

var rowHeader = []string{
	"subject", "requests/s", "scheduled", "answered", "lost", "opened", "how", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "spread",
}

// milliseconds shows a time with three digits that count.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms >= 100:
		return strconv.FormatFloat(ms, 'f', 0, 64)
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 2, 64)
}

func ratioText(ratio float64) string {
	switch {
	case math.IsNaN(ratio):
		return "–"
	case math.IsInf(ratio, 1):
		return "∞"
	case ratio >= 100:
		return strconv.FormatFloat(ratio, 'f', 0, 64)
	}
	return strconv.FormatFloat(ratio, 'f', 2, 64)
}
