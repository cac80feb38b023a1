package trials

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"prefork/internal/testproc"
)

var (
	full = flag.Bool("full", false, "run the trials in full, some minutes")
	seed = flag.Uint64("seed", 1, "of every random choice")
)

func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }

// size is a number of the short form, or of the full one.
func size[T any](short, whole T) T {
	if *full {
		return whole
	}
	return short
}

// rate is a number of requests a second. The race detector slows the generator,
// which is part of the test binary, by a factor of ten.
func rate(perSecond int) int {
	if raceEnabled && perSecond > 500 {
		return max(500, perSecond/4)
	}
	return perSecond
}

// chances returns the random choices of a trial, and has its seed printed.
func chances(t *testing.T, seed uint64) *rand.Rand {
	t.Helper()
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// pace waits until the next act of a trial is due. It synchronises nothing: what
// a trial needs to be so, it awaits.
func pace(d time.Duration) { <-time.After(d) }
