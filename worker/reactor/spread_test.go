package reactor

import (
	"testing"
	"time"
)

// TestDrainSpreadsWhatItCuts: what is under way stays until the last part of the drain
// and ends evenly over it, each end counted; what finishes meanwhile is answered.
func TestDrainSpreadsWhatItCuts(t *testing.T) {
	t.Parallel()
	const conns, length, spread = 23, 5 * time.Second, time.Second
	r := newRig(t, Config{DrainSpread: spread})
	late := r.connect()
	late.write("late")
	for range conns {
		r.connect().write("half")
	}
	r.quiet()
	r.drain(r.now + int64(length))
	r.pass(length - spread - wheelTick)
	if r.cut != 0 || r.loop.conns() != conns+1 {
		t.Fatalf("before the last part %d are cut and %d open", r.cut, r.loop.conns())
	}
	late.write(" but whole\n")
	late.expect("late but whole\n")
	late.expectEnd()
	late.close()
	ticks := int(spread / wheelTick)
	for tick := range ticks {
		before := r.cut
		r.pass(wheelTick)
		// The first tick may come a moment later than here.
		if share := r.cut - before; share > conns/ticks+1 || tick > 0 && share < conns/ticks {
			t.Errorf("in tick %d of %d %d are cut, of %d in all", tick, ticks, share, conns)
		}
	}
	r.pass(wheelTick)
	if r.cut != conns || r.finished != 1 {
		t.Errorf("%d are cut and %d finished, want %d and 1", r.cut, r.finished, conns)
	}
	r.untilDrained()
}

// TestDrainSpreadCutsNobodyWhoRests, and none when it is as long as the drain.
func TestDrainSpreadCutsNobodyWhoRests(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{DrainSpread: time.Minute})
	c := r.connect()
	c.write("a\n")
	c.expect("a\n")
	half := r.connect()
	half.write("half")
	r.quiet()
	r.drain(r.now + int64(time.Second))
	c.expectEnd()
	c.close()
	r.pass(2 * wheelTick)
	if half.poll(); r.cut > 1 {
		t.Errorf("%d are cut", r.cut)
	}
	r.pass(time.Second)
	half.expectEnd()
	half.close()
	if r.cut != 1 {
		t.Errorf("%d are cut, want the one with half a message", r.cut)
	}
	r.untilDrained()
}

// busyTaker counts what it is asked to cut.
type busyTaker struct {
	nobody
	busy int
	cuts []int
}

func (b *busyTaker) Held() int { return b.busy }
func (b *busyTaker) Busy() int { return b.busy }
func (b *busyTaker) CutSome(n int) {
	b.cuts = append(b.cuts, n)
	b.busy -= n
}
func (b *busyTaker) CutShort() { b.CutSome(b.busy) }

// TestDrainSpreadAsksATaker, in even shares.
func TestDrainSpreadAsksATaker(t *testing.T) {
	t.Parallel()
	taker := &busyTaker{busy: 20}
	r := newRig(t, Config{Taker: taker, DrainSpread: time.Second})
	r.drain(r.now + int64(2*time.Second))
	for range 25 {
		r.pass(wheelTick)
	}
	for i, n := range taker.cuts {
		if n > 3 {
			t.Errorf("share %d is %d, of 20 in ten", i, n)
		}
	}
	if len(taker.cuts) < 7 || taker.busy != 0 {
		t.Errorf("the shares are %v, and %d are left", taker.cuts, taker.busy)
	}
	r.untilDrained()
}
