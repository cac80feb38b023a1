package master

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/supervise"
)

// Siblings watch each other's sockets: the machine decides who does, and here they
// get the descriptors.

// watch sends a worker the sockets that its own revision has in another slot. A
// generation with sockets of its own watches those of its own only.
func (m *master) watch(a supervise.Watch) (out []supervise.Event) {
	m.with(a.ID, func(c *child) {
		o := oursOf(c.talk)
		fds := m.sockets.alone(c.revision, a.Slot)
		if o == nil || len(fds) == 0 { // what all slots share it has anyway
			out = []supervise.Event{supervise.WorkerSaidWatched(a)}
			return
		}
		err := o.watch(a.Slot, fds)
		if scarce(err) {
			m.postponed = append(m.postponed, a)
			return
		}
		out = misbehaved(a.ID, err)
	})
	return out
}

// watchPostponed tries again what could not be sent for want of resources. The
// machine says nothing else about such a slot to that worker before the answer.
func (m *master) watchPostponed() (out []supervise.Event) {
	again := m.postponed
	m.postponed = nil
	for _, a := range again {
		out = append(out, m.watch(a)...)
	}
	return out
}

func (m *master) unwatch(a supervise.Unwatch) (out []supervise.Event) {
	m.with(a.ID, func(c *child) {
		o := oursOf(c.talk)
		if o == nil {
			out = []supervise.Event{supervise.WorkerSaidWatched(a)}
			return
		}
		out = misbehaved(a.ID, o.watch(a.Slot, nil))
	})
	return out
}

// scarce tells whether something could not be sent because the machine is short of
// memory, or has too many descriptors on the way between processes (unix(7),
// ETOOMANYREFS): the worker has done nothing wrong.
func scarce(err error) bool {
	return slices.ContainsFunc([]error{unix.ETOOMANYREFS, unix.ENOBUFS, unix.ENOMEM}, func(shortage error) bool { return errors.Is(err, shortage) })
}

// watch asks the worker to watch these sockets for a slot, or none. The end of the
// channel is no error here: the worker has just died, or what it did is on its way
// to the loop, and nobody's connection depends on it.
func (o *ours) watch(slot int, fds []int) error {
	o.asked.Add(1) // BEFORE it is sent: the answer may be faster
	err := o.conn.Send(ipc.Watch{Slot: uint32(slot)}, fds...)
	switch {
	case errors.Is(err, os.ErrClosed):
		return nil
	case scarce(err):
		o.asked.Add(-1)
		return err
	}
	return o.hangUp(err)
}

// watched takes an answer. One that nobody asked for would be a way to flood the
// loop.
func (o *ours) watched(m ipc.Watched) error {
	if o.asked.Add(-1) < 0 {
		return &ipc.ProtocolError{Reason: fmt.Sprintf("it says that it watches slot %d, and was not asked to", m.Slot)}
	}
	o.child.post(supervise.WorkerSaidWatched{ID: o.child.id, Slot: int(m.Slot)})
	return nil
}

// look is what a look at the queues has seen of the service's work.
type look struct{ waiting, accepted, requests uint64 }

// lookAtQueues counts what waits in each slot. Anything that has changed since the
// last look is a move.
func (m *master) lookAtQueues() []supervise.Event {
	var now look
	waiting := m.sockets.queues()
	for _, n := range waiting {
		now.waiting += uint64(n)
	}
	for _, c := range m.children {
		n := c.talk.counters()
		now.accepted += n.Accepted
		now.requests += n.Requests
	}
	moved := now != m.looked
	m.looked = now
	return []supervise.Event{supervise.QueuesSampled{Waiting: waiting, Moved: moved}}
}
