package chart

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Lines compares by height: one line for each series over steps that have names,
// such as p50, p99 and max. A spread is not drawn.
type Lines struct {
	Title  string
	Unit   string // beside the axis: "latency, ms"
	Steps  []string
	Series []Series
	// Log counts orders of magnitude. Zero and less then leave a gap.
	Log bool
}

const linesHeight = 10 * vg.Centimeter

// Write draws the lines into an SVG file.
func (l Lines) Write(path string) error {
	if err := checkSeries(l.Series, len(l.Steps)); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	p := newPlot(l.Title)
	p.Y.Label.Text = l.Unit
	var ticks []plot.Tick
	for i, step := range l.Steps {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: step})
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	p.X.Min, p.X.Max = -0.2, float64(len(l.Steps))-0.8
	p.Y.Min, p.Y.Max = Bars{Series: l.Series, Log: l.Log}.limits()
	p.Y.Scale, p.Y.Tick.Marker = scaleOf(l.Log)
	// Above the lines there is room for the legend.
	room := 0.06 * float64(len(l.Series))
	if l.Log {
		p.Y.Max *= math.Pow(p.Y.Max/p.Y.Min, room)
	} else {
		p.Y.Max *= 1 + room
	}
	p.Add(grid{})
	for i, s := range l.Series {
		for _, run := range l.runs(s) {
			if err := addRun(p, run, s.color(i)); err != nil {
				return fmt.Errorf("draw %s: %w", path, err)
			}
		}
		p.Legend.Add(s.Name, swatch(s.color(i)))
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs = vg.Points(6)
	return save(p, linesHeight, path)
}

func addRun(p *plot.Plot, run plotter.XYs, of color.RGBA) error {
	line, points, err := plotter.NewLinePoints(run)
	if err != nil {
		return err
	}
	line.Color, line.Width = of, vg.Points(2)
	points.Color, points.Shape, points.Radius = of, draw.CircleGlyph{}, vg.Points(3)
	p.Add(line, points)
	return nil
}

// runs are the parts of a line between its gaps.
func (l Lines) runs(s Series) []plotter.XYs {
	var all []plotter.XYs
	var run plotter.XYs
	for i, v := range s.Values {
		if math.IsNaN(v) || (l.Log && v <= 0) {
			if len(run) > 0 {
				all, run = append(all, run), nil
			}
			continue
		}
		run = append(run, plotter.XY{X: float64(i), Y: v})
	}
	if len(run) > 0 {
		all = append(all, run)
	}
	return all
}
