//go:build race

package supervise

const raceEnabled = true // the race detector costs a factor of ten: fewer sequences
