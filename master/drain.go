package master

import (
	"context"
	"fmt"
	"time"

	"prefork/master/supervise"
)

// emptyLook is how often is asked whether sockets are empty that a worker, or a
// slot, leaves behind.
const emptyLook = 5 * time.Millisecond

// emptying is sockets that have to be empty, or the time over, before something
// can happen. The loop owns it.
type emptying struct {
	deadline supervise.Time
	waiting  func() int
	obsolete func() bool                      // nobody wants it any more
	then     func(left int) []supervise.Event // at the end
}

// drain tells a worker to leave: at once, when whoever serves its slot now has the
// same sockets. Connections in sockets that nobody else has would be lost with it
// (a new command gets fresh ones, an address was taken away, the master stops).
// They get no new ones any more, so the worker is told when they are empty.
func (m *master) drain(a supervise.Drain) {
	m.with(a.ID, func(c *child) {
		c.told.Store(true)
		counted := c.talk.counters()
		c.before.Store(&counted)
		if !m.sockets.exclusive(c.revision, c.id.Slot) {
			c.talk.drain(a.Deadline)
			return
		}
		m.drainWhenEmpty(c, a.Deadline)
	})
}

// drainWhenEmpty waits for half of the time that the worker has: what it does not
// take until then it will not take at all, and the other half is for what it holds.
func (m *master) drainWhenEmpty(c *child, deadline supervise.Time) {
	patience := (deadline - m.loop.now()) / 2
	m.blame(m.sockets.undefer(c.id.Slot))
	m.awaitEmpty(emptying{
		deadline: deadline - patience,
		waiting:  func() int { return m.sockets.waiting(c.revision, c.id.Slot) },
		obsolete: func() bool { return m.children[c.id] == nil },
		then: func(left int) []supervise.Event {
			if left > 0 {
				m.journal.note(supervise.Note{
					Level: supervise.Warn, Text: "worker leaves connections behind", ID: c.id, Generation: c.generation, PID: c.process.PID(),
					Reason: fmt.Sprintf("%d wait in its sockets, and it has not taken them within %v", left, patience.Round(time.Millisecond)),
				})
			}
			c.talk.drain(deadline)
			return nil
		},
	})
}

// emptySlot waits until nothing is left in the sockets of a slot that has no worker:
// its siblings take what there is. Whoever serves it again is in no need of that.
func (m *master) emptySlot(a supervise.EmptySlot) {
	m.settleSockets() // BEFORE: a slot whose worker had died may have been live until now
	m.blame(m.sockets.undefer(a.Slot))
	m.awaitEmpty(emptying{
		deadline: a.Deadline,
		waiting:  func() int { return m.sockets.waitingIn(a.Slot) },
		obsolete: func() bool { return m.sockets.isServed(a.Slot) },
		then: func(left int) []supervise.Event {
			return []supervise.Event{supervise.SlotEmptied{Slot: a.Slot, Deadline: a.Deadline, Left: left}}
		},
	})
}

// awaitEmpty has one goroutine look at all that has to be empty: a thousand slots
// that retire together would else ask the loop a thousand times for each look.
func (m *master) awaitEmpty(e emptying) {
	m.emptying = append(m.emptying, e)
	if len(m.emptying) == 1 {
		m.goroutines.Go(m.lookUntilEmpty)
	}
}

func (m *master) lookUntilEmpty() {
	look := time.NewTicker(emptyLook)
	defer look.Stop()
	for more := true; more; {
		<-look.C
		var news []supervise.Event
		err := m.ask(context.Background(), func() { news, more = m.lookOnce() })
		if err != nil {
			return // the loop has ended, and with it everybody
		}
		for _, ev := range news {
			m.post(ev)
		}
	}
}

// lookOnce ends what is empty, or late, and tells whether there is more.
func (m *master) lookOnce() (news []supervise.Event, more bool) {
	var still []emptying
	for _, e := range m.emptying {
		if e.obsolete() {
			continue
		}
		left := e.waiting()
		if left > 0 && m.loop.now() < e.deadline {
			still = append(still, e)
			continue
		}
		news = append(news, e.then(left)...)
	}
	m.emptying = still
	return news, len(still) > 0
}
