package main

import (
	"fmt"
	"strings"

	"prefork/bench/chart"
)

// table is a section for people.
func (s section) table() chart.Table {
	t := chart.Table{Title: s.title, Header: rowHeader, Notes: s.notes}
	for _, r := range s.rows {
		t.Rows = append(t.Rows, r.cells())
	}
	if len(s.costs) > 0 {
		t.Header = costHeader
		for _, c := range s.costs {
			t.Rows = append(t.Rows, c.cells())
		}
	}
	if len(t.Rows) == 0 {
		t.Header = nil
	}
	return t
}

// verdicts is the table of prefork's limits.
func verdicts(sections []section) chart.Table {
	return chart.Verdicts("What prefork must keep", judged(sections))
}

// judged are the limits of all sections.
func judged(sections []section) []chart.Limit {
	var all []chart.Limit
	for _, s := range sections {
		for _, l := range s.limits {
			l.Case = s.name
			all = append(all, l)
		}
	}
	return all
}

// leftOut says which subjects are not there, and why.
func leftOut(subjects []subject) []string {
	var all []string
	for _, s := range subjects {
		if s.missing != "" {
			all = append(all, "Left out: "+s.title+": "+strings.ReplaceAll(s.missing, "\n", "; "))
		}
	}
	return all
}

// disturbances says which rounds were made again.
func disturbances(rows []row) []string {
	var all []string
	for _, r := range rows {
		if r.disturbed > 0 {
			all = append(all, fmt.Sprintf("%s: made again, because the machine was busy otherwise: %d.", r.title, r.disturbed))
		}
	}
	return all
}
