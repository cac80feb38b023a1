//go:build !race

package trials

const raceEnabled = false
