package chart

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// The drawing brings its own background: a transparent one would need text that
// can be read on black and on white, and no color is good at both.
var (
	background = color.RGBA{R: 0xfa, G: 0xfa, B: 0xf7, A: 0xff}
	ink        = color.RGBA{R: 0x26, G: 0x2b, B: 0x33, A: 0xff}
	faint      = color.RGBA{R: 0xd9, G: 0xdb, B: 0xdd, A: 0xff}
)

// palette has the colors of series in order: Okabe and Ito's, which people with
// any kind of color vision can tell apart, without their yellow and black, which
// are too near to the background and the ink.
var palette = []color.RGBA{
	{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, // blue
	{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff}, // orange
	{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, // green
	{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, // vermilion
	{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff}, // purple
	{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}, // sky
	{R: 0x7a, G: 0x7f, B: 0x87, A: 0xff}, // gray
	{R: 0x8c, G: 0x56, B: 0x4b, A: 0xff}, // brown
}

// colorOf is the color of series i; beyond the palette it begins again.
func colorOf(i int) color.RGBA { return palette[i%len(palette)] }

// width of every drawing; the height follows from what is in it.
const width = 18 * vg.Centimeter

// newPlot returns a plot in the common style.
func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = background
	p.Title.Text = title
	p.Title.Padding = vg.Points(8)
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.Title.TextStyle.Font.Weight = 2 // semi-bold
	p.Title.TextStyle.Color = ink
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color = ink
		axis.Label.TextStyle.Color = ink
		axis.Label.TextStyle.Font.Size = vg.Points(10)
		axis.Tick.Label.Color = ink
		axis.Tick.Label.Font.Size = vg.Points(10)
		axis.Tick.Color = ink
		for _, of := range []*font.Font{&axis.Label.TextStyle.Font, &axis.Tick.Label.Font} {
			of.Variant = "Sans"
		}
	}
	p.Title.TextStyle.Font.Variant = "Sans"
	p.Legend.TextStyle.Color = ink
	p.Legend.TextStyle.Font.Size = vg.Points(10)
	p.Legend.TextStyle.Font.Variant = "Sans"
	p.Legend.Padding = vg.Points(2)
	return p
}

// short shows a value with three digits that count.
func short(v float64) string {
	switch {
	case math.IsNaN(v):
		return "n/a"
	case v == math.Trunc(v) && math.Abs(v) < 1e6:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return fmt.Sprintf("%.2g", v)
}

// checkSeries refuses what cannot be drawn.
func checkSeries(series []Series, groups int) error {
	for _, s := range series {
		if len(s.Values) != groups {
			return fmt.Errorf("series %q has %d values, want one for each of %d groups", s.Name, len(s.Values), groups)
		}
		if (s.Low != nil && len(s.Low) != groups) || (s.High != nil && len(s.High) != groups) {
			return fmt.Errorf("series %q: low and high need one value for each of %d groups, or none", s.Name, groups)
		}
	}
	return nil
}
