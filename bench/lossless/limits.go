package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"prefork/bench/chart"
	"prefork/bench/stats"
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
	reopened int     // kept connections, in each load, beyond one for each client; 0: no limit
	p99Ratio float64 // of prefork's p99 to that of one shared queue
}

// check compares the row of prefork with the limits. Without that row, or without
// figures in it, it returns what can be said about that.
func (l limits) check(rows []row) []chart.Limit {
	ours, there := find(rows, "prefork")
	if !there {
		return nil
	}
	if len(ours.reports) == 0 || ours.skipped != "" {
		return []chart.Limit{{What: "figures of prefork", Got: ours.skipped, Most: "all"}}
	}
	var all []chart.Limit
	if l.lost != nil {
		all = append(all, atMost("lost", ours.lost(), l.lost(ours.hurt)))
		served := float64(ours.answered()) / float64(ours.scheduled())
		all = append(all, chart.Limit{
			What: "answered", Got: percent(served), Most: "at least " + percent(servedMin), Holds: served >= servedMin,
		})
	}
	if l.reopened > 0 {
		all = append(all, atMost("connections opened in a load", ours.opened(), keptConnections+l.reopened))
	}
	quantiles := ours.quantiles()
	for i, most := range []time.Duration{0, l.p99, l.p999, l.longest} {
		if most > 0 {
			all = append(all, chart.Limit{
				What: quantileNames[i], Got: milliseconds(quantiles[i]) + " ms", Most: milliseconds(most) + " ms",
				Holds: quantiles[i] <= most, Soft: true,
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

// besideMore is what a p99 may be longer than twice that of a quiet time.
const besideMore = 10 * time.Millisecond

// beside compares prefork's p99 in one event with that of another one, in which
// nothing happens.
func beside(quiet, stirred []row) []chart.Limit {
	before, known := find(quiet, "prefork")
	ours, there := find(stirred, "prefork")
	if !known || !there || len(before.reports) == 0 || len(ours.reports) == 0 {
		return nil // said elsewhere
	}
	got, most := ours.quantiles()[1], 2*before.quantiles()[1]+besideMore
	return []chart.Limit{{
		What: "p99, twice that of " + calmKept.name + " and 10 ms", Got: milliseconds(got) + " ms", Most: milliseconds(most) + " ms",
		Holds: got <= most, Soft: true,
	}}
}

func atMost(what string, got, most int) chart.Limit {
	return chart.Limit{What: what, Got: strconv.Itoa(got), Most: strconv.Itoa(most), Holds: got <= most}
}

func softRatio(what string, got, most float64) chart.Limit {
	return chart.Limit{What: what, Got: ratioText(got), Most: ratioText(most), Holds: got <= most, Soft: true} // NaN holds nothing
}

// p99Ratio is the median over the rounds, in each of which both were measured.
func p99Ratio(ours, other row) float64 {
	var ratios []float64
	for i := range min(len(ours.reports), len(other.reports)) {
		if below := other.reports[i].Latency.P99; below > 0 {
			ratios = append(ratios, float64(ours.reports[i].Latency.P99)/float64(below))
		}
	}
	return stats.Median(ratios)
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
