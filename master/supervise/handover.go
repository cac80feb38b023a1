package supervise

import (
	"fmt"
	"slices"
)

// heirsMax is how many workers one that drains gives its connections to at once:
// enough to spread those of a slot that retires, and few descriptors on each side.
const heirsMax = 8

// gives tells whether a worker can give its connections away: it has served, it speaks
// our own protocol, and others can go on with what its connections speak.
func (w *worker) gives() bool { return w.Own && w.ReadyAt > 0 && w.Protocol != "" }

// takes tells whether a worker can go on with the connections of the other one. Who
// broke the protocol has lost its Protocol with that: it can be told nothing. One whose
// loop stands still would leave the other without an answer.
func (w *worker) takes(other *worker) bool {
	return w != nil && w.State == Ready && !w.Unwell && w.Own && w.Protocol == other.Protocol
}

// bequeath has a worker that drains give its connections to those who can take them. It
// comes BEFORE its Drain, and again for one that has lost all of its heirs. When the
// master stops nobody is there to take them, and when all are drained nobody stays.
func (m *Machine) bequeath(s *slot, w *worker) {
	if m.Phase != running || !w.gives() {
		return
	}
	for _, heir := range m.heirsOf(s, w) {
		w.Heirs = append(w.Heirs, heir.ID)
		m.do(HandOver{From: w.ID, To: heir.ID})
	}
}

// heirsOf returns who can take the connections of a worker now: its successor, for whom
// is waited while it starts; in a slot that nobody is to serve some of the others, and
// not the same ones for each slot.
func (m *Machine) heirsOf(s *slot, w *worker) (heirs []*worker) {
	if s.Serving != nil {
		if s.Serving.takes(w) {
			heirs = []*worker{s.Serving}
		}
		return heirs
	}
	ring := m.ring()
	for i := 0; i < ring && len(heirs) < heirsMax; i++ {
		if other := m.Slots[(s.Number*heirsMax+i)%ring].Serving; other.takes(w) {
			heirs = append(heirs, other)
		}
	}
	return heirs
}

// arrangeHeirs finds heirs for those who drain and have none any more: theirs have died
// or leave themselves.
func (m *Machine) arrangeHeirs() {
	for _, s := range m.Slots {
		for _, w := range s.Leaving {
			if w.State != Draining {
				continue
			}
			w.Heirs = slices.DeleteFunc(w.Heirs, func(id WorkerID) bool { return !m.serves(id) })
			if len(w.Heirs) == 0 {
				w.Heirs = nil
				m.bequeath(s, w)
			}
		}
	}
}

// serves tells whether this very worker serves.
func (m *Machine) serves(id WorkerID) bool {
	_, w := m.find(id)
	return w != nil && w.State == Ready
}

// checkHeirs checks to whom a worker gives its connections.
func (m *Machine) checkHeirs(s *slot, w *worker) error {
	switch {
	case len(w.Protocol) > protocolMax:
		return fmt.Errorf("speaks what has a name of %d bytes, more than %d", len(w.Protocol), protocolMax)
	case len(w.Heirs) > 0 && w.State != Draining:
		return fmt.Errorf("has heirs and does not drain")
	case len(w.Heirs) > heirsMax:
		return fmt.Errorf("has %d heirs, more than %d", len(w.Heirs), heirsMax)
	case len(w.Heirs) == 0 && w.State == Draining && m.Phase == running && w.gives() && len(m.heirsOf(s, w)) > 0:
		return fmt.Errorf("has no heir, and there is one")
	}
	for i, id := range w.Heirs {
		if !m.serves(id) || slices.Contains(w.Heirs[:i], id) {
			return fmt.Errorf("gives to %v, who does not serve or takes already", id)
		}
	}
	return nil
}
