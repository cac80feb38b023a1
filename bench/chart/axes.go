package chart

import (
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// scaleOf is how an axis counts, and what it shows of that.
func scaleOf(log bool) (plot.Normalizer, plot.Ticker) {
	if log {
		return plot.LogScale{}, decades{}
	}
	return plot.LinearScale{}, even{}
}

// even marks an axis at even distances, with no more digits than needed.
type even struct{}

func (even) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if !ticks[i].IsMinor() {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'g', 4, 64)
		}
	}
	return ticks
}

// decades marks the powers of ten within the axis, and 2 to 9 of each without a
// label.
type decades struct{}

func (decades) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for exponent := int(math.Floor(math.Log10(low))); exponent <= int(math.Ceil(math.Log10(high))); exponent++ {
		for digit := 1; digit <= 9; digit++ {
			tick := plot.Tick{Value: float64(digit) * math.Pow10(exponent)}
			if tick.Value < low || tick.Value > high {
				continue
			}
			if digit == 1 {
				tick.Label = plain(tick.Value)
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// plain shows a power of ten without an exponent as long as people read it so.
func plain(v float64) string {
	if v >= 1e7 || v < 1e-4 {
		return strconv.FormatFloat(v, 'e', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// roomy makes room behind a label, for fonts that are wider than the one it is
// measured with.
func roomy(label string) string { return label + strings.Repeat(" ", 1+len(label)/4) }

// swatch is the mark of a series in the legend.
type swatch color.RGBA

func (s swatch) Thumbnail(c *draw.Canvas) {
	middle := (c.Min.Y + c.Max.Y) / 2
	c.FillPolygon(color.RGBA(s), rectangle(c.Min.X, c.Max.X, middle, vg.Points(7)))
}

// grid draws a faint line at each tick that has a label.
type grid struct{ vertical bool }

func (g grid) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := draw.LineStyle{Color: faint, Width: vg.Points(0.7)}
	axis := p.Y
	if g.vertical {
		axis = p.X
	}
	for _, tick := range axis.Tick.Marker.Ticks(axis.Min, axis.Max) {
		switch {
		case tick.IsMinor() || tick.Value < axis.Min || tick.Value > axis.Max:
		case g.vertical:
			c.StrokeLine2(style, toX(tick.Value), c.Min.Y, toX(tick.Value), c.Max.Y)
		default:
			c.StrokeLine2(style, c.Min.X, toY(tick.Value), c.Max.X, toY(tick.Value))
		}
	}
}
