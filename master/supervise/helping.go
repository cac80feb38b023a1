package supervise

import (
	"fmt"
	"slices"
	"time"
)

const (
	// HelpersMax bounds Target.Helpers: each helper costs every worker the
	// descriptors of one more slot, and the kernel a longer walk for each
	// connection; the third gains little already.
	HelpersMax = 16

	// retiringHelped is how many retiring slots, the highest ones, get watchers
	// that they did not have: they close in that order, and one worker that
	// remains of a thousand must not hold the sockets of all.
	retiringHelped = 16

	// watchesMax bounds what one worker is asked to watch, also while it does not
	// answer and the slots around it come and go.
	watchesMax = 2*HelpersMax + retiringHelped

	// listenGrace is how long siblings let an owner go first that serves and does
	// not say that it listens: one that is stuck there needs help, not precedence.
	listenGrace = time.Second
)

// watch is one sibling's slot that a worker watches, or was asked to.
type watch struct {
	Slot   int    `json:"slot"`
	Owner  uint64 `json:"owner"`  // the incarnation that listened there when it was asked; 0: nobody
	Asked  bool   `json:"asked"`  // it has not answered yet
	Ending bool   `json:"ending"` // what it was asked is to let go
	Stale  bool   `json:"stale"`  // the slot's sockets are not those of then any more
}

// arrangeHelp asks everybody who can help for what is not as it should be. It runs
// at the end of every Step, so it must cost little when nothing has changed.
func (m *Machine) arrangeHelp() {
	for _, s := range m.Slots {
		w := s.Serving
		if w == nil || !w.Listens || w.Deaf {
			continue
		}
		for i := range w.Watches {
			m.reviewWatch(w, i)
		}
		m.offerHelp(w)
	}
}

// reviewWatch has a worker let go of what it should not watch, or come to stand
// behind an owner who is another one than at the last time. Whoever came first is
// asked first by the kernel, for all of its life.
func (m *Machine) reviewWatch(w *worker, i int) {
	had := w.Watches[i]
	if had.Asked {
		return // decided anew when it has answered
	}
	if !m.helps(w, had.Slot) {
		m.unwatch(w, i)
		return
	}
	owner, settled := m.listener(had.Slot)
	if settled && (had.Stale || owner != 0 && owner != had.Owner) {
		m.watch(w, i, owner)
	}
}

// offerHelp has a worker watch its neighbours in the ring, and the last workers of
// the ring also the slots that retire: those of their workers who remain are next
// to them.
func (m *Machine) offerHelp(w *worker) {
	helpers, ring, own := m.helpers(w), m.ring(), w.ID.Slot
	if own >= ring {
		return // serves already, but its slot counts only at the end of the change
	}
	for n := 1; n <= min(helpers, ring-1); n++ {
		m.offerWatch(w, (own+n)%ring)
	}
	if own < ring-helpers {
		return
	}
	for n := max(ring, len(m.Slots)-retiringHelped); n < len(m.Slots); n++ {
		if m.Slots[n].Retiring {
			m.offerWatch(w, n)
		}
	}
}

// ring is the number of slots that are wanted, whoever is in them. What a running
// change adds counts once it is committed.
func (m *Machine) ring() int { return min(m.Wanted, len(m.Slots)) }

// helpers is how many siblings a worker should watch.
func (m *Machine) helpers(w *worker) int {
	if !w.Own {
		return 0
	}
	return m.targetFor(w).Helpers
}

// helps tells whether a worker may go on watching a slot. Those outside of the ring
// keep their watchers until they close or come back: nobody else may be there to
// empty them.
func (m *Machine) helps(w *worker, slot int) bool {
	helpers, ring, own := m.helpers(w), m.ring(), w.ID.Slot
	switch {
	case helpers == 0 || slot >= len(m.Slots):
		return false
	case slot >= ring:
		return true
	case own >= ring:
		return false
	}
	ahead := (slot - own + ring) % ring
	return ahead > 0 && ahead <= helpers
}

// offerWatch has a worker watch a slot that it does not watch, as soon as it is
// known behind whom.
func (m *Machine) offerWatch(w *worker, slot int) {
	if watchOf(w, slot) >= 0 || len(w.Watches) >= watchesMax {
		return
	}
	if owner, settled := m.listener(slot); settled {
		w.Watches = append(w.Watches, watch{Slot: slot})
		m.watch(w, len(w.Watches)-1, owner)
	}
}

func (m *Machine) watch(w *worker, i int, owner uint64) {
	w.Watches[i] = watch{Slot: w.Watches[i].Slot, Owner: owner, Asked: true}
	m.do(Watch{ID: w.ID, Slot: w.Watches[i].Slot})
}

// listener returns who listens in a slot, 0 for nobody; settled is false while
// somebody is about to, and as long as a program serves there that does not speak of
// listening: it may not bear that others take what it was woken for.
func (m *Machine) listener(slot int) (incarnation uint64, settled bool) {
	w := m.Slots[slot].Serving
	switch {
	case w == nil || w.State != Ready:
		return 0, true
	case w.Listens:
		return w.ID.Incarnation, true
	case !w.Own:
		return 0, false
	}
	return 0, m.now-w.Since >= listenGrace
}

func (m *Machine) unwatch(w *worker, i int) {
	w.Watches[i].Asked, w.Watches[i].Ending = true, true
	m.do(Unwatch{ID: w.ID, Slot: w.Watches[i].Slot})
}

// watchOf returns where in its list a worker has a slot; -1: nowhere.
func watchOf(w *worker, slot int) int {
	return slices.IndexFunc(w.Watches, func(had watch) bool { return had.Slot == slot })
}

// abandonSlot has everybody let go of a slot that closes now. Who has not answered
// yet is told when it has.
func (m *Machine) abandonSlot(slot int) {
	m.eachWatching(slot, func(w *worker, i int) {
		if w.Watches[i].Asked {
			w.Watches[i].Stale = true // a later slot of this number has other sockets
			return
		}
		m.unwatch(w, i)
	})
}

func (m *Machine) eachWatching(slot int, do func(w *worker, i int)) {
	for _, s := range m.Slots {
		if w := s.Serving; w != nil {
			if i := watchOf(w, slot); i >= 0 {
				do(w, i)
			}
		}
	}
}

// workerSaidListening makes a worker one behind whom others may stand, and who may
// stand behind others. One that says it again had left the line for a while: who
// watches its slot is to come behind it anew.
func (m *Machine) workerSaidListening(ev WorkerSaidListening) {
	_, w := m.find(ev.ID)
	switch {
	case w == nil || w.State > Ready: // it was told to leave before it could say so
	case w.State < Ready:
		m.workerMisbehaved(WorkerMisbehaved{ID: ev.ID, Reason: "it listens, and was not told to serve"})
	case w.Listens:
		m.socketsMended(SocketsMended{Slot: w.ID.Slot})
	default:
		w.Listens = true
	}
}

// workerSaidWatched books an answer. What a worker watched was forgotten when it
// was told to leave, so its last answers say nothing.
func (m *Machine) workerSaidWatched(ev WorkerSaidWatched) {
	_, w := m.find(ev.ID)
	if w == nil || w.State > Ready || w.Deaf {
		return
	}
	i := watchOf(w, ev.Slot)
	switch {
	case i < 0 || !w.Watches[i].Asked:
		m.workerMisbehaved(WorkerMisbehaved{ID: ev.ID, Reason: fmt.Sprintf("it says that it has done what it was not asked: to watch slot %d or to let go of it", ev.Slot)})
	case w.Watches[i].Ending:
		w.Watches = slices.Delete(w.Watches, i, i+1)
	default:
		w.Watches[i].Asked = false
	}
}

// socketsMended has those who watched the slot asked again. One that has not
// answered yet may have been sent the sockets before or after that; asking once
// more harms nobody.
func (m *Machine) socketsMended(ev SocketsMended) {
	m.eachWatching(ev.Slot, func(w *worker, i int) { w.Watches[i].Stale = true })
}
