// Package chart shows the figures of a comparison: as a table on a terminal or in
// Markdown, and as a drawing in SVG.
//
// It promises that a drawing can be read on a dark page and on a light one (it
// brings its own background), that each subject keeps its color as long as the
// order of the series stays, or Series.Color says which it has, and that a value
// that is missing is shown as missing: math.NaN() leaves a gap and the letters
// "n/a", never a zero.
//
// It does not calculate: rows and values come as they are to be shown.
//
//	Table ──Text──► terminal      Bars, Lines ──Write──► file.svg
//	      ──Markdown──► README.md
//
// It owns no goroutine.
package chart
