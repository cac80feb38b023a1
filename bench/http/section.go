package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"prefork/bench/chart"
	"prefork/bench/stats"
)

// sample is one measurement.
type sample struct {
	value float64 // µs of CPU for one request, or bytes for one idle connection
	// first is that of the first idle connections of a server's life, in bytes.
	first float64
	// Of a load: requests a second, and what both sides used, in cores.
	perSecond, server, generator float64
}

// row is one subject in one mode, over all rounds.
type row struct {
	subject subject
	samples []sample
	skipped string // why there are no figures, or none of later rounds
}

// section is one mode.
type section struct {
	mode mode
	rows []row
}

func newSection(m mode, subjects []subject) section {
	s := section{mode: m}
	for _, subject := range subjects {
		s.rows = append(s.rows, row{subject: subject, skipped: subject.missing})
	}
	return s
}

// find returns the row of a subject; the zero row has no samples.
func (s section) find(name string) row {
	for _, r := range s.rows {
		if r.subject.name == name {
			return r
		}
	}
	return row{skipped: "not asked for"}
}

func (r row) values(of func(sample) float64) []float64 {
	var all []float64
	for _, s := range r.samples {
		all = append(all, of(s))
	}
	return all
}

func value(s sample) float64     { return s.value }
func first(s sample) float64     { return s.first }
func perSecond(s sample) float64 { return s.perSecond }
func server(s sample) float64    { return s.server }
func generator(s sample) float64 { return s.generator }

// middle is the median of the rounds; NaN without any.
func (r row) middle(of func(sample) float64) float64 { return stats.Median(r.values(of)) }

// to are the ratios of a row to another one in the rounds in which both were
// measured: a minute in which the machine is slow then counts for both.
func (r row) to(other row) []float64 {
	var ratios []float64
	for i := range min(len(r.samples), len(other.samples)) {
		ratios = append(ratios, r.samples[i].value/other.samples[i].value)
	}
	return ratios
}

var (
	requestHeader = []string{
		"subject", "CPU µs", "lowest", "highest", "to nginx", "lowest", "highest", "95 % interval", "requests/s", "server busy", "generator busy",
	}
	idleHeader = []string{"subject", "bytes", "lowest", "highest", "the first ones"}
)

// titles are those of the tables.
var titles = map[mode]string{
	keepAlive: "CPU for one request over a kept connection, user and system, all processes",
	short:     "CPU for one request over a connection of its own, user and system, all processes",
	idle:      "Memory for one idle connection, all processes",
}

// table is a section for people.
func (s section) table() chart.Table {
	t := chart.Table{Title: titles[s.mode], Header: requestHeader}
	if s.mode == idle {
		t.Header = idleHeader
	}
	nginx := s.find("nginx")
	for _, r := range s.rows {
		switch {
		case len(r.samples) == 0:
			t.Rows = append(t.Rows, []string{r.subject.title, "–"})
		case s.mode == idle:
			t.Rows = append(t.Rows, r.idleCells())
		default:
			t.Rows = append(t.Rows, r.requestCells(nginx))
		}
		if r.skipped != "" && r.subject.missing == "" {
			t.Notes = append(t.Notes, fmt.Sprintf("%s was given up after round %d: %s", r.subject.title, len(r.samples), oneLine(r.skipped)))
		}
	}
	return t
}

func (r row) requestCells(nginx row) []string {
	values, ratios := r.values(value), r.to(nginx)
	interval := stats.MeanRatio(ratios)
	return []string{
		r.subject.title, number(r.middle(value), 2), number(lowest(values), 2), number(highest(values), 2),
		number(stats.Median(ratios), 3), number(lowest(ratios), 3), number(highest(ratios), 3),
		span(interval),
		number(r.middle(perSecond), 0), percent(r.middle(server)), percent(r.middle(generator)),
	}
}

func (r row) idleCells() []string {
	values := r.values(value)
	return []string{
		r.subject.title, number(r.middle(value), 0), number(lowest(values), 0), number(highest(values), 0), number(r.middle(first), 0),
	}
}

func lowest(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return slices.Min(values)
}

func highest(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return slices.Max(values)
}

// span is a dash for an interval of one round, which is unknown.
func span(i stats.Interval) string {
	if math.IsNaN(i.Low) {
		return "–"
	}
	return number(i.Low, 3) + " to " + number(i.High, 3)
}

func number(v float64, digits int) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func percent(share float64) string { return number(100*share, 0) + " %" }

func oneLine(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ") }
