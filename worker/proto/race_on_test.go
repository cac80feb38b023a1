//go:build race

package proto

// raceEnabled: sync.Pool drops objects at random under the race detector, so
// allocations cannot be counted.
const raceEnabled = true
