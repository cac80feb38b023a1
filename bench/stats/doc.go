// Package stats says what repeated measurements tell: the middle of them, and how
// far chance reaches around it.
//
// It promises that a figure that cannot be known, such as the spread of a single
// measurement, is math.NaN() and never a number. It knows nothing about what was
// measured, and it owns no goroutine.
package stats
