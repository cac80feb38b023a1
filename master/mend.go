package master

import (
	"fmt"

	"prefork/master/listen"
	"prefork/master/process"
	"prefork/master/supervise"
)

// A worker can spoil the sockets that it shares with its successors, its siblings
// and the master. What the shell sees of that it mends here, and says it.

// suspectAfter is for how many samples in a row connections must wait before it
// is asked whether the worker still has its sockets; then at every so-manieth
// sample again.
const (
	suspectAfter = 2
	suspectAgain = 10
)

// prepareListeners makes the sockets such as the first worker found them. A
// program that finds accept not blocking may die of it, one of our loops would
// stand still if it did; nobody else may hold the socket then, or the same would
// befall that one.
func (m *master) prepareListeners(id supervise.WorkerID, listeners []process.Listener, blocking bool) error {
	held := m.heldBeside(id.Slot)
	for _, l := range listeners {
		if err := m.relisten(id.Slot, l.FD); err != nil {
			return err
		}
		if held[l.FD] {
			continue
		}
		if err := listen.SetBlocking(l.FD, blocking); err != nil {
			return fmt.Errorf("prepare listening socket: %w", err)
		}
	}
	return nil
}

// heldBeside returns what of a slot's sockets other workers hold. Those of other
// slots have at most the shared ones in common with it, and these are the same for
// all of a revision: one of them is enough, or a generation of a thousand workers
// would take a million looks.
func (m *master) heldBeside(slot int) map[int]bool {
	held, looked := map[int]bool{}, map[uint64]bool{}
	for id, c := range m.children {
		if id.Slot != slot && looked[c.revision] {
			continue
		}
		looked[c.revision] = looked[c.revision] || id.Slot != slot
		for _, l := range m.sockets.of(c.revision, id.Slot) {
			held[l.FD] = true
		}
	}
	return held
}

func (m *master) relisten(slot, fd int) error {
	revived, err := listen.Relisten(fd)
	if revived {
		m.sockets.relistened(fd)
		m.found = append(m.found, supervise.SocketsMended{Slot: slot})
		m.journal.note(supervise.Note{
			Level: supervise.Warn, Text: "listening socket was shut down", Reason: fmt.Sprintf("somebody who has it called shutdown on the socket of slot %d; it listens again", slot),
		})
	}
	return err
}

// inspect looks after the sockets at each sample.
func (m *master) inspect() {
	for id, c := range m.children {
		for _, l := range m.sockets.of(c.revision, id.Slot) {
			if err := m.relisten(id.Slot, l.FD); err != nil {
				m.journal.report(err.Error())
			}
		}
		m.suspect(c)
	}
}

// suspect asks, when connections have waited for a while, whether a foreign
// worker still holds what it should accept from. The answer takes a look at every
// process of the machine, so it comes later.
func (m *master) suspect(c *child) {
	waiting := m.sockets.waiting(c.revision, c.id.Slot)
	if oursOf(c.talk) != nil || waiting == 0 || c.told.Load() {
		c.waited = 0
		return
	}
	if c.waited++; c.waited%suspectAgain != suspectAfter {
		return
	}
	var inodes []uint64
	for _, l := range m.sockets.of(c.revision, c.id.Slot) {
		if inode, err := listen.Inode(l.FD); err == nil {
			inodes = append(inodes, inode)
		}
	}
	m.goroutines.Go(func() {
		// Who cannot be looked into gets the benefit of the doubt.
		if holds, err := c.process.Holds(inodes); err == nil && !holds {
			c.post(supervise.WorkerMisbehaved{ID: c.id, Reason: "it has closed its listening socket, and connections wait there"})
		}
	})
}
