package trials

import (
	"slices"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
)

// TestSpreadAfterReloadsAndAKill: the kernel asks who came first to a socket, so a
// worker that came after its siblings would get nothing of its own, and they all
// (750 of 751 without the renewed order).
func TestSpreadAfterReloadsAndAKill(t *testing.T) {
	const (
		ratioMax  = 1.3
		perSecond = 800
		windows   = 3
	)
	s := serve(t)
	s.reload(t)
	s.reload(t)
	s.prove(t)
	victim := s.serving(t, chances(t, *seed).IntN(workers))
	s.kill(victim)
	s.awaitSuccessor(t, victim)

	// The median counts, in the short form the best: a busy moment of the machine is
	// not the service's order, and a wrong order shows in every window.
	long := size(2*time.Second, 5*time.Second)
	var ratios []float64
	for len(ratios) < windows && (*full || len(ratios) == 0 || slices.Min(ratios) > ratioMax) {
		g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: perSecond, Duration: long})
		o := s.finish(t, g, time.Second)
		o.atMost(t, "requests failed", o.failed, 0)
		ratios = append(ratios, spread(o.BySlot))
		t.Logf("connections by slot %v: ratio %.2f", o.BySlot, ratios[len(ratios)-1])
	}
	slices.Sort(ratios)
	if got := ratios[size(0, windows/2)]; got > ratioMax {
		t.Errorf("the busiest worker got %.2f times the connections of the idlest, want at most %.2f (all: %.2f)", got, ratioMax, ratios)
	}
}

// spread is the most by the least; a worker that got nothing counts as one.
func spread(bySlot map[int]int) float64 {
	var counts []int
	for slot := range workers {
		counts = append(counts, max(1, bySlot[slot]))
	}
	return float64(slices.Max(counts)) / float64(slices.Min(counts))
}
