package supervise

import (
	"fmt"
	"maps"
)

// help is the witness's book of who watches whom and which slot is emptied. In it
// stands what the kernel sees: in which order sockets came into the loops.
type help struct {
	order    int // of the last entry
	listens  map[WorkerID]int
	deaf     map[WorkerID]bool
	watches  map[pair]entry
	emptying map[int]Time // until when a slot is to be emptied
	emptied  map[int]bool
}

type pair struct {
	id   WorkerID
	slot int
}

// entry is one worker's word, or the ask for it.
type entry struct {
	order  int
	asked  bool
	ending bool
	stale  bool // what it watched was shut down, or its owner has left the line since
}

func newHelp() help {
	return help{
		listens: map[WorkerID]int{}, deaf: map[WorkerID]bool{}, watches: map[pair]entry{},
		emptying: map[int]Time{}, emptied: map[int]bool{},
	}
}

func (h help) clone() help {
	h.listens, h.deaf, h.watches = maps.Clone(h.listens), maps.Clone(h.deaf), maps.Clone(h.watches)
	h.emptying, h.emptied = maps.Clone(h.emptying), maps.Clone(h.emptied)
	return h
}

// hear books an event. Who was told to leave has nothing to say any more.
func (h *help) hear(ev Event, living map[WorkerID]told) {
	switch ev := ev.(type) {
	case WorkerSaidListening:
		if living[ev.ID] != serve {
			return
		}
		if h.listens[ev.ID] != 0 { // again: it went to the end of the line
			h.outdate(ev.ID.Slot)
		}
		h.order++
		h.listens[ev.ID] = h.order
	case WorkerSaidWatched:
		if living[ev.ID] == serve {
			h.hearWatched(pair{ev.ID, ev.Slot})
		}
	case WorkerMisbehaved:
		if living[ev.ID] == serve {
			h.forget(ev.ID)
			h.deaf[ev.ID] = true
		}
	case SocketsMended:
		h.outdate(ev.Slot)
	case SlotEmptied:
		if at, asked := h.emptying[ev.Slot]; asked && at == ev.Deadline {
			h.emptied[ev.Slot] = true
		}
	case WorkerExited:
		h.forget(ev.ID)
	case SpawnFailed:
		h.forget(ev.ID)
	}
}

func (h *help) hearWatched(p pair) {
	switch e := h.watches[p]; {
	case h.deaf[p.id]:
	case !e.asked: // which breaks the protocol
		h.forget(p.id)
		h.deaf[p.id] = true
	case e.ending:
		delete(h.watches, p)
	default:
		e.asked = false
		h.watches[p] = e
	}
}

// outdate has all who watch a slot to be asked again, even if its owner is gone
// when they can be.
func (h *help) outdate(slot int) {
	for p, e := range h.watches {
		if p.slot == slot {
			e.stale = true
			h.watches[p] = e
		}
	}
}

func (h *help) forget(id WorkerID) {
	maps.DeleteFunc(h.watches, func(p pair, _ entry) bool { return p.id == id })
}

// see books an action and objects to what must not be.
func (h *help) see(a Action, w *witness) error {
	switch a := a.(type) {
	case Watch:
		return h.seeWatch(pair{a.ID, a.Slot}, w)
	case Unwatch:
		return h.seeUnwatch(pair{a.ID, a.Slot})
	case Drain:
		h.forget(a.ID)
	case Abort:
		h.forget(a.ID)
	case Kill:
		h.forget(a.ID)
	case RingBell:
		for _, last := range w.living {
			if last == serve {
				return nil
			}
		}
		return fmt.Errorf("nobody hears it")
	case OpenSockets:
		maps.DeleteFunc(h.emptying, func(slot int, _ Time) bool { return slot < a.Slots })
		maps.DeleteFunc(h.emptied, func(slot int, _ bool) bool { return slot < a.Slots })
	case EmptySlot:
		return h.seeEmpty(a, w)
	case CloseSlot:
		return h.seeClose(a.Slot, w)
	}
	return nil
}

func (h *help) seeWatch(p pair, w *witness) error {
	e, known := h.watches[p]
	switch {
	case p.slot == p.id.Slot:
		return fmt.Errorf("I9: it is the worker's own slot")
	case w.living[p.id] != serve || h.listens[p.id] == 0 || h.deaf[p.id]:
		return fmt.Errorf("I9: the worker does not listen")
	case p.slot >= w.opened:
		return fmt.Errorf("I9: the slot has no sockets: %d slots have", w.opened)
	case e.asked:
		return fmt.Errorf("I9: the worker has not answered yet")
	case known && !e.stale && e.order > h.listens[h.owner(p.slot, w)]:
		return fmt.Errorf("I9: the worker watches it already, behind its owner")
	}
	h.order++
	h.watches[p] = entry{order: h.order, asked: true}
	return nil
}

// owner is who serves a slot; nobody is nobody's name.
func (h *help) owner(slot int, w *witness) WorkerID {
	for id, last := range w.living {
		if id.Slot == slot && last == serve {
			return id
		}
	}
	return WorkerID{}
}

func (h *help) seeUnwatch(p pair) error {
	e, known := h.watches[p]
	if !known || e.asked {
		return fmt.Errorf("I9: the worker does not watch it, or has not answered yet")
	}
	e.asked, e.ending = true, true
	h.watches[p] = e
	return nil
}

func (h *help) seeEmpty(a EmptySlot, w *witness) error {
	if _, asked := h.emptying[a.Slot]; asked {
		return fmt.Errorf("I10: it was asked before")
	}
	for id := range w.living {
		if id.Slot == a.Slot {
			return fmt.Errorf("I10: %s is still in the slot", name(id))
		}
	}
	h.emptying[a.Slot] = a.Deadline
	return nil
}

func (h *help) seeClose(slot int, w *witness) error {
	if !h.emptied[slot] && !w.stopped {
		return fmt.Errorf("I10: nobody has said that it is empty")
	}
	delete(h.emptying, slot)
	delete(h.emptied, slot)
	for p, e := range h.watches {
		if p.slot != slot {
			continue
		}
		if !e.asked {
			return fmt.Errorf("I9: %s still watches it", name(p.id))
		}
	}
	h.outdate(slot)
	return nil
}

// checkRing wants each slot to be watched by so many siblings, and by nobody else,
// all of them behind its owner.
func (h *help) checkRing(w *witness, slots, helpers int) error {
	for slot := range slots {
		watchers := 0
		for p, e := range h.watches {
			switch {
			case p.slot != slot:
			case e.asked || e.stale:
				return fmt.Errorf("L3: %s does not answer, or watches what is not so any more: slot %d, %+v", name(p.id), slot, e)
			case e.order < h.listens[h.owner(slot, w)]:
				return fmt.Errorf("L3: %s stands before the owner of slot %d", name(p.id), slot)
			default:
				watchers++
			}
		}
		if want := min(helpers, slots-1); watchers != want {
			return fmt.Errorf("L3: %d siblings watch slot %d, want %d", watchers, slot, want)
		}
	}
	return nil
}
