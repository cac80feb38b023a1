package chart

import (
	"bytes"
	"fmt"
	"os"
	"regexp"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// fontFamily finds the font of each text of a drawing.
var fontFamily = regexp.MustCompile(`font-family:[^;]*;`)

// save writes a plot as SVG. The fonts are named, not embedded: three of them
// would be a hundred times the drawing. The library names the one that it measures
// texts with; the others here have the same widths and are on most machines.
func save(p *plot.Plot, height vg.Length, path string) error {
	canvas := vgsvg.New(width, height)
	// The background of the plot ends where its margins begin.
	whole := draw.New(canvas)
	whole.SetColor(background)
	whole.Fill(whole.Rectangle.Path())
	p.Draw(draw.Crop(whole, vg.Points(8), -vg.Points(12), vg.Points(8), -vg.Points(8)))
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	text := fontFamily.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(path, text, 0o644)
}
