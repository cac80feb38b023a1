package supervise

import (
	"fmt"
	"maps"
	"slices"
)

// heirs is the witness's book of who could give connections to whom, and was told to.
type heirs struct {
	speaks map[WorkerID]string
	given  map[WorkerID][]WorkerID
}

func newHeirs() heirs {
	return heirs{speaks: map[WorkerID]string{}, given: map[WorkerID][]WorkerID{}}
}

func (h heirs) clone() heirs {
	h.speaks, h.given = maps.Clone(h.speaks), maps.Clone(h.given)
	return h
}

// hear books an event: the first word that a worker gives while it is not told to leave.
func (h *heirs) hear(ev Event, living map[WorkerID]told) {
	switch ev := ev.(type) {
	case WorkerSaidReady:
		if last, lives := living[ev.ID]; lives && last <= serve && h.speaks[ev.ID] == "" {
			h.speaks[ev.ID] = ev.Protocol
		}
	case WorkerMisbehaved:
		h.speaks[ev.ID] = "garbage"
	case WorkerExited:
		h.forget(ev.ID)
	case SpawnFailed:
		h.forget(ev.ID)
	}
}

func (h *heirs) forget(id WorkerID) {
	delete(h.speaks, id)
	delete(h.given, id)
}

// see books an action and objects to what must not be.
func (h *heirs) see(a Action, w *witness) error {
	hand, ok := a.(HandOver)
	if !ok {
		return nil
	}
	from, to := w.living[hand.From], w.living[hand.To]
	switch protocol := h.speaks[hand.From]; {
	case w.stopped:
		return fmt.Errorf("I11: the master stops, and nobody stays")
	case from != serve && from != drain:
		return fmt.Errorf("I11: who gives has not served, or was killed")
	case to != serve:
		return fmt.Errorf("I11: who takes does not serve")
	case protocol == "" || protocol == "garbage" || w.help.deaf[hand.From] || w.help.deaf[hand.To] || protocol != h.speaks[hand.To]:
		return fmt.Errorf("I11: one speaks %q and the other %q", protocol, h.speaks[hand.To])
	case hand.Count < 0 || hand.From == hand.To:
		return fmt.Errorf("I11: %d connections to itself", hand.Count)
	case hand.Count > 0 && from != serve:
		return fmt.Errorf("I11: who evens out drains")
	case hand.Count > 0:
		return nil
	case slices.Contains(h.given[hand.From], hand.To):
		return fmt.Errorf("I11: it was told so before")
	}
	h.given[hand.From] = append(h.given[hand.From][:len(h.given[hand.From]):len(h.given[hand.From])], hand.To)
	return nil
}

// checkHeirs wants who gives to be told so BEFORE it is told to drain: an idle
// connection would be closed else.
func checkHeirs(actions []Action) error {
	drained := map[WorkerID]bool{}
	for _, a := range actions {
		switch a := a.(type) {
		case Drain:
			drained[a.ID] = true
		case HandOver:
			if drained[a.From] {
				return fmt.Errorf("%s: it is told to give AFTER its drain", name(a.From))
			}
		}
	}
	return nil
}
