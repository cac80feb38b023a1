package chart

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is one value for each group (or each step of a line); math.NaN() is a
// value that is missing.
type Series struct {
	Name   string
	Values []float64
	// Low and High are the ends of the spread around each value; nil: none.
	Low, High []float64
	// Color is the number of its color, from 1 on, where a subject is to keep it
	// over drawings that do not have the same series; 0: its place among them.
	Color int
}

// color is that of the series at a place of a drawing.
func (s Series) color(place int) color.RGBA {
	if s.Color > 0 {
		return colorOf(s.Color - 1)
	}
	return colorOf(place)
}

// Bars compares by length: in each group, from top to bottom, one bar for each
// series, with its value at its end.
type Bars struct {
	Title  string
	Unit   string // below the axis: "µs of CPU for one request"
	Groups []string
	Series []Series
	// Log counts orders of magnitude. Zero and less then have no bar, only the
	// value.
	Log bool
}

const (
	barHeight = 11 // points
	groupGap  = 8  // points between two groups
	frame     = 70 // points for title and axis
	entry     = 14 // points for an entry of the legend
)

// Write draws the bars into an SVG file.
func (b Bars) Write(path string) error {
	if err := checkSeries(b.Series, len(b.Groups)); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	p := newPlot(b.Title)
	p.X.Label.Text = b.Unit
	p.X.Min, p.X.Max = b.limits()
	p.X.Scale, p.X.Tick.Marker = scaleOf(b.Log)
	// Group i stands at -i, so that the first is on top, below the legend.
	groupHeight, legend := float64(len(b.Series)*barHeight+groupGap), 0.0
	if len(b.Series) > 1 {
		legend = float64(len(b.Series) * entry)
	}
	p.Y.Min, p.Y.Max = -float64(len(b.Groups))+0.5, 0.5+legend/groupHeight
	p.Y.Tick.Marker = plot.ConstantTicks(b.labels())
	p.Y.Tick.Length = 0
	p.Y.LineStyle.Width = 0
	p.Add(grid{vertical: true}, barPlotter{b})
	for i, s := range b.Series {
		if len(b.Series) > 1 {
			p.Legend.Add(s.Name, swatch(s.color(i)))
		}
	}
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, vg.Points(6)
	return save(p, vg.Points(frame+legend+float64(len(b.Groups))*groupHeight), path)
}

// limits leaves room to the right for the value at the end of the longest bar.
func (b Bars) limits() (low, high float64) {
	smallest := math.Inf(1)
	for _, s := range b.Series {
		for i, v := range s.Values {
			for _, v := range []float64{v, at(s.Low, i), at(s.High, i)} {
				if v > 0 { // false for NaN, too
					high, smallest = max(high, v), min(smallest, v)
				}
			}
		}
	}
	if high == 0 {
		high, smallest = 1, 1
	}
	if b.Log {
		low = math.Pow(10, math.Floor(math.Log10(smallest))-0.3)
		return low, high * math.Pow(high/low, 0.15)
	}
	return 0, high * 1.15
}

func at(values []float64, i int) float64 {
	if values == nil {
		return math.NaN()
	}
	return values[i]
}

func (b Bars) labels() []plot.Tick {
	var ticks []plot.Tick
	for i, group := range b.Groups {
		ticks = append(ticks, plot.Tick{Value: -float64(i), Label: roomy(group)})
	}
	return ticks
}

// barPlotter draws the bars themselves.
type barPlotter struct{ bars Bars }

func (b barPlotter) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	lines := len(b.bars.Series)
	for g := range b.bars.Groups {
		top := toY(-float64(g)) + vg.Points(barHeight)*vg.Length(lines)/2
		for i, s := range b.bars.Series {
			middle := top - vg.Points(barHeight)*(vg.Length(i)+0.5)
			end := c.Min.X
			if s.Values[g] > p.X.Min {
				end = toX(s.Values[g])
				c.FillPolygon(s.color(i), rectangle(c.Min.X, end, middle, vg.Points(barHeight-2)))
			}
			// Not before the axis begins: a logarithm has no zero.
			low, high := max(p.X.Min, at(s.Low, g)), max(p.X.Min, at(s.High, g))
			end = max(end, whisker(c, toX, middle, low, high))
			c.FillText(valueStyle(p), vg.Point{X: end + vg.Points(4), Y: middle}, short(s.Values[g]))
		}
	}
}

// whisker draws the spread and returns its right end.
func whisker(c draw.Canvas, toX func(float64) vg.Length, y vg.Length, low, high float64) vg.Length {
	if math.IsNaN(low) || math.IsNaN(high) {
		return c.Min.X
	}
	from, to := toX(low), toX(high)
	c.StrokeLine2(draw.LineStyle{Color: ink, Width: vg.Points(1)}, from, y, to, y)
	return to
}

func rectangle(left, right, middle, height vg.Length) []vg.Point {
	top, bottom := middle+height/2, middle-height/2
	return []vg.Point{{X: left, Y: bottom}, {X: left, Y: top}, {X: right, Y: top}, {X: right, Y: bottom}}
}

func valueStyle(p *plot.Plot) text.Style {
	style := p.X.Tick.Label
	style.Font.Size = vg.Points(8)
	style.XAlign, style.YAlign = text.XLeft, text.YCenter
	return style
}
