package main

import (
	"path/filepath"

	"prefork/bench/chart"
)

// The names of the drawings.
const (
	costPlot = "cost.svg"
	idlePlot = "idle.svg"
)

// seriesNames are those of the legend.
var seriesNames = map[mode]string{keepAlive: "kept connection", short: "new connection each", idle: "after as many that have gone"}

// draw writes all drawings into a folder.
func draw(dir string, subjects []subject, sections []section) error {
	cost := chart.Bars{Title: "CPU for one request", Unit: "µs, user and system, all processes"}
	memory := chart.Bars{Title: "Memory for one idle connection", Unit: "bytes, all processes, on a logarithmic axis", Log: true}
	for _, s := range subjects {
		cost.Groups, memory.Groups = append(cost.Groups, s.title), append(memory.Groups, s.title)
	}
	for _, s := range sections {
		if s.mode == idle {
			memory.Series = append(memory.Series, s.series(seriesNames[idle], value), s.series("of a fresh server", first))
		} else {
			cost.Series = append(cost.Series, s.series(seriesNames[s.mode], value))
		}
	}
	if err := cost.Write(filepath.Join(dir, costPlot)); err != nil {
		return err
	}
	return memory.Write(filepath.Join(dir, idlePlot))
}

// series are the medians of a section with the lowest and the highest.
func (s section) series(name string, of func(sample) float64) chart.Series {
	series := chart.Series{Name: name}
	for _, r := range s.rows {
		values := r.values(of)
		series.Values = append(series.Values, r.middle(of))
		series.Low, series.High = append(series.Low, lowest(values)), append(series.High, highest(values))
	}
	return series
}
