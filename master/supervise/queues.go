package supervise

import (
	"slices"
	"time"
)

// How often the accept queues are looked at. A look is short; what it finds is a
// wake-up that was lost, and somebody waits for it.
const (
	lookBusy  = 10 * time.Millisecond  // while a queue is not empty
	lookMoved = 50 * time.Millisecond  // while something has moved within movedLately
	lookIdle  = 200 * time.Millisecond // else

	movedLately = time.Second

	// lookSlots is how many slots are looked at that often; with more, looks are
	// as much rarer. One costs a system call for each socket.
	lookSlots = 64
)

// scheduleLook has the queues looked at while somebody serves whom the bell would
// help. A process that is alone cannot miss what another one was woken for.
func (m *Machine) scheduleLook() {
	switch {
	case !m.anyHears() || len(m.Slots) == 1 && len(m.Slots[0].Leaving) == 0:
		m.NextLook = 0
	case m.NextLook == 0:
		m.NextLook = m.now + m.lookEvery()
	}
}

func (m *Machine) lookEvery() time.Duration {
	every := lookIdle
	switch {
	case slices.ContainsFunc(m.Slots, func(s *slot) bool { return s.Queued }):
		every = lookBusy
	case m.MovedAt > 0 && m.now-m.MovedAt <= movedLately:
		every = lookMoved
	}
	return every * time.Duration(max(len(m.Slots), lookSlots)) / lookSlots
}

// queuesSampled rings when connections wait that waited at the last look, too: the
// one whom the kernel woke for them has not come. They need not be the same
// ones, but then a busy service pays for a look of its own, and nothing else.
func (m *Machine) queuesSampled(ev QueuesSampled) {
	if ev.Moved {
		m.MovedAt = m.now
	}
	again := false
	for n, s := range m.Slots {
		queued := n < len(ev.Waiting) && ev.Waiting[n] > 0
		again = again || queued && s.Queued
		s.Queued = queued
	}
	if m.NextLook > 0 { // sooner than was thought before the answer, perhaps
		m.NextLook = min(m.NextLook, m.now+m.lookEvery())
	}
	if again {
		m.ringBell()
	}
}

// ringBell has everybody look into all queues, if there is anybody. Whoever was
// woken for a connection and then stopped or died has told nobody else.
func (m *Machine) ringBell() {
	if m.anyHears() {
		m.do(RingBell{})
	}
}

// anyHears tells whether a worker of our own serves.
func (m *Machine) anyHears() bool {
	return slices.ContainsFunc(m.Slots, func(s *slot) bool {
		return s.Serving != nil && s.Serving.State == Ready && s.Serving.Own
	})
}
