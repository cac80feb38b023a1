package master

import (
	"context"
	"fmt"
	"time"

	"prefork/ipc"
	"prefork/master/supervise"
)

// emptyLook is how often is asked whether a worker that leaves has emptied its
// sockets.
const emptyLook = 5 * time.Millisecond

// drain tells a worker to leave: at once, when whoever serves its slot now has the
// same sockets. Connections in sockets that nobody else has would be lost with it
// (a new command gets fresh ones, an address was taken away, the master stops).
// They get no new ones any more, so the worker is told when they are empty.
func (m *master) drain(a supervise.Drain) {
	m.with(a.ID, func(c *child) {
		c.told.Store(true)
		if m.sockets.exclusive(c.revision, c.id.Slot) {
			undefer(m.sockets.alone(c.revision, c.id.Slot))
			m.goroutines.Go(func() { m.drainWhenEmpty(c, a.Deadline) })
			return
		}
		c.talk.drain(a.Deadline)
	})
}

// drainWhenEmpty waits for half of the time that the worker has: what it does not
// take until then it will not take at all, and the other half is for what it holds.
func (m *master) drainWhenEmpty(c *child, deadline supervise.Time) {
	patience := (deadline - supervise.Time(ipc.Monotonic())) / 2
	waiting, ok := m.awaitEmpty(c.exited, deadline-patience, func() int { return m.sockets.waiting(c.revision, c.id.Slot) })
	if !ok {
		return
	}
	if waiting > 0 {
		m.journal.note(supervise.Note{
			Level: supervise.Warn, Text: "worker leaves connections behind", ID: c.id, Generation: c.generation, PID: c.process.PID(),
			Reason: fmt.Sprintf("%d wait in its sockets, and it has not taken them within %v", waiting, patience.Round(time.Millisecond)),
		})
	}
	c.talk.drain(deadline)
}

// awaitEmpty waits until count is 0, which the loop asks, or for the deadline, and
// returns the last count. ok is false when nobody wants to know any more: the
// worker has exited, or the loop has ended, and with it everybody.
func (m *master) awaitEmpty(exited <-chan struct{}, deadline supervise.Time, count func() int) (left int, ok bool) {
	patience := time.NewTimer(deadline - supervise.Time(ipc.Monotonic()))
	defer patience.Stop()
	look := time.NewTicker(emptyLook)
	defer look.Stop()
	for left = 1; left > 0; {
		select {
		case <-exited:
			return left, false
		case <-patience.C:
			return left, true
		case <-look.C:
			if err := m.ask(context.Background(), func() { left = count() }); err != nil {
				return left, false
			}
		}
	}
	return 0, true
}
