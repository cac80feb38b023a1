package main

import (
	"math"
	"path/filepath"
	"time"

	"prefork/bench/chart"
)

// lostPlot is the name of the drawing of what was lost.
const lostPlot = "lost.svg"

func latencyPlot(s section) string { return "latency-" + s.name + ".svg" }

// draw writes all drawings into a folder.
func draw(dir string, subjects []subject, sections []section) error {
	bars := lostBars(subjects, sections)
	if err := bars.Write(filepath.Join(dir, lostPlot)); err != nil {
		return err
	}
	for _, s := range sections {
		if len(s.rows) == 0 {
			continue
		}
		if err := latencyLines(subjects, s).Write(filepath.Join(dir, latencyPlot(s))); err != nil {
			return err
		}
	}
	return nil
}

// lostBars shows what each subject lost in each event. A share and not a count,
// because not all subjects were asked as much.
func lostBars(subjects []subject, sections []section) chart.Bars {
	bars := chart.Bars{Title: "Requests lost, of 10,000", Unit: "of 10,000 requests, on a logarithmic axis", Log: true}
	var shown []section
	for _, s := range sections {
		if len(s.rows) > 0 {
			shown = append(shown, s)
			bars.Groups = append(bars.Groups, s.name)
		}
	}
	for _, subject := range subjects {
		series := chart.Series{Name: subject.title}
		for _, s := range shown {
			series.Values = append(series.Values, lostShare(s.rows, subject.name))
		}
		bars.Series = append(bars.Series, series)
	}
	return bars
}

func lostShare(rows []row, name string) float64 {
	r, there := find(rows, name)
	if !there || r.scheduled() == 0 {
		return math.NaN()
	}
	return 10000 * float64(r.lost()) / float64(r.scheduled())
}

// latencyLines shows the latencies of one event.
func latencyLines(subjects []subject, s section) chart.Lines {
	lines := chart.Lines{Title: s.title, Unit: "latency of the answered, ms", Steps: quantileNames, Log: true}
	for place, subject := range subjects {
		series := chart.Series{Name: subject.title, Color: place + 1} // the same in every drawing
		r, there := find(s.rows, subject.name)
		there = there && r.answered() > 0
		for i := range quantileNames {
			value := math.NaN()
			if there {
				value = float64(r.quantiles()[i]) / float64(time.Millisecond)
			}
			series.Values = append(series.Values, value)
		}
		if there { // in the legend, too, only what has a line
			lines.Series = append(lines.Series, series)
		}
	}
	return lines
}
