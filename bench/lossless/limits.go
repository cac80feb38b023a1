package main

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// servedMin is the share of the schedule that prefork must answer in every event:
// "nothing was lost" says little where little was asked.
const servedMin = 0.9

// limits are what prefork must keep in an event. The zero value of each: no limit.
type limits struct {
	lost     func(hurt int) int // the most that may be lost
	p99      time.Duration
	p999     time.Duration
	longest  time.Duration
	spread   float64
	p99Ratio float64 // of prefork's p99 to that of one shared queue
}

// limit is one of them, compared with what was seen.
type limit struct {
	what      string
	got, most string
	holds     bool
	// soft is a limit that a busy machine can break: it fails the run only with
	// -strict.
	soft bool
}

// check compares the row of prefork with the limits. Without that row, or without
// figures in it, it returns what can be said about that.
func (l limits) check(rows []row) []limit {
	ours, there := find(rows, "prefork")
	if !there {
		return nil
	}
	if len(ours.reports) == 0 || ours.skipped != "" {
		return []limit{{what: "figures of prefork", got: ours.skipped, most: "all"}}
	}
	var all []limit
	if l.lost != nil {
		all = append(all, atMost("lost", ours.lost(), l.lost(ours.hurt)))
		served := float64(ours.answered()) / float64(ours.scheduled())
		all = append(all, limit{
			what: "answered", got: percent(served), most: "at least " + percent(servedMin), holds: served >= servedMin,
		})
	}
	quantiles := ours.quantiles()
	for i, most := range []time.Duration{0, l.p99, l.p999, l.longest} {
		if most > 0 {
			all = append(all, limit{
				what: quantileNames[i], got: milliseconds(quantiles[i]) + " ms", most: milliseconds(most) + " ms",
				holds: quantiles[i] <= most, soft: true,
			})
		}
	}
	if l.spread > 0 {
		all = append(all, softRatio("spread", ours.spread(), l.spread))
	}
	if shared, there := find(rows, "prefork-shared"); there && l.p99Ratio > 0 {
		all = append(all, softRatio("p99 to that of --queue shared, median of pairs", p99Ratio(ours, shared), l.p99Ratio))
	}
	return all
}

func atMost(what string, got, most int) limit {
	return limit{what: what, got: strconv.Itoa(got), most: strconv.Itoa(most), holds: got <= most}
}

func softRatio(what string, got, most float64) limit {
	return limit{what: what, got: ratioText(got), most: ratioText(most), holds: got <= most, soft: true} // NaN holds nothing
}

// p99Ratio is the median over the rounds, in each of which both were measured.
func p99Ratio(ours, other row) float64 {
	var ratios []float64
	for i := range min(len(ours.reports), len(other.reports)) {
		if below := other.reports[i].Latency.P99; below > 0 {
			ratios = append(ratios, float64(ours.reports[i].Latency.P99)/float64(below))
		}
	}
	return median(ratios)
}

func find(rows []row, name string) (row, bool) {
	for _, r := range rows {
		if r.subject.name == name {
			return r, true
		}
	}
	return row{}, false
}

func percent(share float64) string {
	if math.IsNaN(share) {
		return "–"
	}
	return fmt.Sprintf("%.4g %%", 100*share)
}
