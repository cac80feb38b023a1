package supervise

import (
	"fmt"
	"slices"
	"time"
)

// emptyTimeout is how long a retiring slot may take to be emptied once its last
// worker has gone. Helpers take what they see within milliseconds; a client that
// vanished in the middle of its handshake would be waited for for a minute.
const emptyTimeout = 5 * time.Second

// closeSlots closes the retiring slots that nobody is in and nothing waits in,
// highest first: the kernel moves the last socket of a group into the hole of a
// closed one, so only the last may go without disturbing the order. All are
// emptied at once. When the master stops, finishStop closes them.
func (m *Machine) closeSlots() {
	if m.Phase == stopping {
		return
	}
	for n := len(m.Slots) - 1; n >= 0 && m.Slots[n].Retiring; n-- {
		m.emptySlot(m.Slots[n])
	}
	for n := len(m.Slots) - 1; n >= 0 && m.Slots[n].Emptied; n-- {
		m.noteLeftBehind(m.Slots[n])
		m.abandonSlot(n) // BEFORE CloseSlot: what is shut down wakes whoever watches it
		m.Slots = slices.Delete(m.Slots, n, n+1)
		m.do(CloseSlot{Slot: n})
	}
}

// emptySlot asks once for the end of a slot's queue, when nobody is in it who
// could still leave something there.
func (m *Machine) emptySlot(s *slot) {
	if !s.empty() || s.EmptyBy != 0 {
		return
	}
	s.EmptyBy = m.now + min(emptyTimeout, m.Target.DrainTimeout)
	m.do(EmptySlot{Slot: s.Number, Deadline: s.EmptyBy})
}

// slotEmptied books the answer; one for a slot that was wanted again in between has
// another deadline.
func (m *Machine) slotEmptied(ev SlotEmptied) {
	if ev.Slot < 0 || ev.Slot >= len(m.Slots) {
		return
	}
	if s := m.Slots[ev.Slot]; s.EmptyBy != 0 && s.EmptyBy == ev.Deadline && !s.Emptied {
		s.Emptied, s.LeftBehind = true, ev.Left
	}
}

func (m *Machine) noteLeftBehind(s *slot) {
	if s.LeftBehind > 0 {
		if a := m.account(s.Account); a != nil {
			a.LeftBehind += uint64(s.LeftBehind)
		}
		m.note(Note{Level: Warn, Text: "slot is closed with connections in its queue",
			Reason: fmt.Sprintf("slot %d: nobody has taken %d of them within %v", s.Number, s.LeftBehind, min(emptyTimeout, m.Target.DrainTimeout))})
	}
}

// stay calls off that the slot retires.
func (s *slot) stay() {
	s.Retiring, s.EmptyBy, s.Emptied, s.LeftBehind, s.Account = false, 0, false, 0, 0
}
