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
			m.goroutines.Go(func() { m.drainWhenEmpty(c, a.Deadline) })
			return
		}
		c.talk.drain(a.Deadline)
	})
}

// drainWhenEmpty waits for half of the time that the worker has: what it does not
// take until then it will not take at all, and the other half is for what it holds.
func (m *master) drainWhenEmpty(c *child, deadline supervise.Time) {
	left := deadline - supervise.Time(ipc.Monotonic())
	patience := time.NewTimer(left / 2)
	defer patience.Stop()
	look := time.NewTicker(emptyLook)
	defer look.Stop()
	for waiting, late := 1, false; waiting > 0 && !late; {
		select {
		case <-c.exited:
			return
		case <-patience.C:
			late = true
			m.journal.note(supervise.Note{
				Level: supervise.Warn, Text: "worker leaves connections behind", ID: c.id, Generation: c.generation, PID: c.process.PID(),
				Reason: fmt.Sprintf("%d wait in its sockets, and it has not taken them within %v", waiting, (left / 2).Round(time.Millisecond)),
			})
		case <-look.C:
			err := m.ask(context.Background(), func() { waiting = m.sockets.waiting(c.revision, c.id.Slot) })
			if err != nil {
				return // the loop has ended, and with it everybody
			}
		}
	}
	c.talk.drain(deadline)
}
