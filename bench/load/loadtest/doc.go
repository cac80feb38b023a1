// Package loadtest puts a load beside a test: it starts, accompanies and judges
// a generator of package load. It promises that no load outlives its test. It
// owns no goroutine but the generator's.
package loadtest
