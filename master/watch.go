package master

import (
	"fmt"

	"prefork/ipc"
	"prefork/master/listen"
	"prefork/master/supervise"
)

// Siblings of our own watch each other's sockets. The machine decides who; here
// they get the descriptors.

// watch has a worker watch the sockets that its own configuration has in another
// slot. What all slots share, it has already; when that is everything, the answer
// is known at once.
func (m *master) watch(a supervise.Watch) (out []supervise.Event) {
	m.with(a.ID, func(c *child) {
		fds := m.sockets.alone(c.revision, a.Slot)
		if len(fds) == 0 {
			out = append(out, supervise.WorkerSaidWatched{ID: a.ID, Slot: a.Slot})
			return
		}
		out = askToWatch(c, a.Slot, fds)
	})
	return out
}

func (m *master) unwatch(a supervise.Unwatch) (out []supervise.Event) {
	m.with(a.ID, func(c *child) { out = askToWatch(c, a.Slot, nil) })
	return out
}

// askToWatch tells the worker, and by an event when it cannot be told.
func askToWatch(c *child, slot int, fds []int) []supervise.Event {
	o, ok := c.talk.(*ours)
	if !ok {
		return []supervise.Event{supervise.WorkerMisbehaved{ID: c.id, Reason: "it is not our own and cannot be told to watch"}}
	}
	if err := o.watch(slot, fds); err != nil {
		return []supervise.Event{supervise.WorkerMisbehaved{ID: c.id, Reason: err.Error()}}
	}
	return nil
}

// watch is sent from the loop only.
func (o *ours) watch(slot int, fds []int) error {
	o.unwatched.Add(1) // BEFORE it is sent: the answer may be faster
	if err := o.conn.Send(ipc.Watch{Slot: uint32(slot)}, fds...); err != nil {
		o.conn.Close()
		return fmt.Errorf("it does not take messages: %w", err)
	}
	return nil
}

// watched takes the answer to a Watch. More answers than questions would let a
// worker flood the loop.
func (o *ours) watched(m ipc.Watched) error {
	if o.unwatched.Add(-1) < 0 {
		return &ipc.ProtocolError{Reason: "watched, and nobody asked it to watch"}
	}
	o.child.post(supervise.WorkerSaidWatched{ID: o.child.id, Slot: int(m.Slot)})
	return nil
}

// lookAtQueues counts what waits in each slot for those who serve it.
func (m *master) lookAtQueues() []supervise.Event {
	waiting := m.sockets.queues()
	var sum uint64
	for _, n := range waiting {
		sum += uint64(n)
	}
	for _, c := range m.children {
		n := c.talk.counters()
		sum += n.Accepted + n.Requests
	}
	moved := sum != m.worked
	m.worked = sum
	return []supervise.Event{supervise.QueuesSampled{Waiting: waiting, Moved: moved}}
}

// emptySlot waits until nothing is left in the slot's sockets, which get no new
// connections: whoever watches them takes what there is.
func (m *master) emptySlot(a supervise.EmptySlot) {
	undefer(m.sockets.everAt(a.Slot))
	m.goroutines.Go(func() {
		left, ok := m.awaitEmpty(nil, a.Deadline, func() int { return m.sockets.left(a.Slot) })
		if ok {
			m.post(supervise.SlotEmptied{Slot: a.Slot, Deadline: a.Deadline, Left: left})
		}
	})
}

// undefer lets connections come to the accept queue whose clients are silent: a
// program that has set TCP_DEFER_ACCEPT keeps them among the handshakes, which
// nobody can serve.
func undefer(fds []int) {
	for _, fd := range fds {
		listen.Undefer(fd)
	}
}
