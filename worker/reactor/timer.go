package reactor

import "time"

const (
	// wheelTick is how coarse timers are.
	wheelTick = 100 * time.Millisecond
	// wheelSlots ticks are the horizon, 102 s: longer than the usual idle
	// timeout, so that few timers have to be filed twice.
	wheelSlots = 1024
	// timersPerTurnMax bounds how many timers one turn fires.
	timersPerTurnMax = 1024
)

// Timer is a pending call of a function, made by Loop.After.
type Timer struct {
	next, prev *Timer // its neighbours in the slot's ring; nil when not pending
	due        int64  // CLOCK_MONOTONIC, ns
	fire       func()
}

// Stop makes sure that the timer does not fire any more. Stopping a timer that
// has fired or was stopped does nothing.
func (t *Timer) Stop() {
	if !t.pending() {
		return
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

func (t *Timer) pending() bool { return t.next != nil }

// wheel keeps timers in a ring of slots, one for each tick: setting and
// stopping one costs the same however many there are. A timer never fires
// early. One beyond the horizon is filed in the farthest slot, and again when
// the wheel comes there.
type wheel struct {
	slots [wheelSlots]Timer // heads of rings
	tick  int64             // all timers up to this tick have fired
}

func (w *wheel) start(now int64) {
	w.tick = now / int64(wheelTick)
	for i := range w.slots {
		head := &w.slots[i]
		head.next, head.prev = head, head
	}
}

// set files t for due; a pending timer is moved.
func (w *wheel) set(t *Timer, due int64) {
	t.Stop()
	t.due = due
	tick := min(max(ceilDivide(due, int64(wheelTick)), w.tick+1), w.tick+wheelSlots-1)
	head := w.slot(tick)
	t.prev, t.next = head.prev, head
	t.prev.next, head.prev = t, t
}

// fire calls what is due, timersPerTurnMax at most; the rest stays due.
func (w *wheel) fire(now int64) {
	budget := timersPerTurnMax
	for ; w.tick < now/int64(wheelTick); w.tick++ {
		head := w.slot(w.tick + 1)
		for head.next != head {
			if budget == 0 {
				return
			}
			budget--
			t := head.next
			t.Stop()
			if t.due > now {
				w.set(t, t.due) // it was beyond the horizon
				continue
			}
			t.fire()
		}
	}
}

// until says how long nothing is due, limit at most.
func (w *wheel) until(now int64, limit time.Duration) time.Duration {
	last := ceilDivide(now+int64(limit), int64(wheelTick))
	for tick := w.tick + 1; tick <= last; tick++ {
		if head := w.slot(tick); head.next != head {
			return min(max(0, time.Duration(tick)*wheelTick-time.Duration(now)), limit)
		}
	}
	return limit
}

func (w *wheel) slot(tick int64) *Timer { return &w.slots[tick%wheelSlots] }

func ceilDivide(n, by int64) int64 { return (n + by - 1) / by }
