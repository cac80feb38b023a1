package main

import (
	"fmt"

	"prefork/bench/chart"
	"prefork/bench/stats"
)

// The most that prefork may cost: a request as a ratio to nginx, the median of the
// rounds, and an idle connection in bytes.
const (
	keepAliveMax = 0.95
	shortMax     = 1.00
	idleMax      = 256
)

// limits are those of all sections, compared with what was seen. Without prefork in
// the comparison there are none.
func limits(sections []section) []chart.Limit {
	var all []chart.Limit
	for _, s := range sections {
		if ours := s.find("prefork"); ours.subject.name != "" {
			all = append(all, s.limit(ours))
		}
	}
	return all
}

func (s section) limit(ours row) chart.Limit {
	l := chart.Limit{Case: string(s.mode)}
	nginx := s.find("nginx")
	switch {
	case ours.skipped != "":
		l.What, l.Got, l.Most = "figures of prefork", oneLine(ours.skipped), "all"
	case s.mode == idle:
		got := max(ours.middle(value), ours.middle(first)) // who keeps what it had is judged by the first ones
		l.What, l.Got, l.Most, l.Holds = "bytes for a connection", number(got, 0), fmt.Sprint(idleMax), got <= idleMax
	case len(nginx.samples) == 0:
		// What cannot be compared is no breach, and is said.
		l.What, l.Got, l.Most, l.Holds = "CPU to that of nginx", "no nginx: "+oneLine(nginx.skipped), number(s.ratioMax(), 2), true
	default:
		got := stats.Median(ours.to(nginx))
		l.What, l.Got, l.Most, l.Holds = "CPU to that of nginx", number(got, 3), number(s.ratioMax(), 2), got <= s.ratioMax()
	}
	return l
}

func (s section) ratioMax() float64 {
	if s.mode == short {
		return shortMax
	}
	return keepAliveMax
}
