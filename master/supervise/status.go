package supervise

import (
	"cmp"
	"slices"
	"time"
)

// Status is a copy of what operators may know; changing it changes nothing.
type Status struct {
	State      Overall
	Generation uint64
	Slots      int // wanted
	Workers    []WorkerStatus
	LastReload Outcome
	Accounts   []Account // of changes that are done and whose workers have not all gone, the oldest first
}

// WorkerStatus is one worker; they are sorted by slot, then incarnation.
type WorkerStatus struct {
	ID         WorkerID
	Generation uint64
	Revision   uint64 // of its configuration
	PID        int    // 0: no process
	State      State
	Unwell     bool
	Age        time.Duration
	RetryIn    time.Duration // of Waiting
	Restarts   uint64        // of its slot
	Watches    []int         // the siblings' slots that it has said it watches
	Heirs      []WorkerID    // to whom it gives its connections
}

// Status returns a deep copy of the state for operators.
func (m *Machine) Status(now Time) Status {
	st := Status{State: m.overall(), Generation: m.Generation, Slots: m.Wanted, LastReload: m.LastReload}
	for _, s := range m.Slots {
		for _, w := range s.workers() {
			ws := WorkerStatus{
				ID: w.ID, Generation: w.Generation, Revision: w.Revision, PID: w.PID, State: w.State, Unwell: w.Unwell,
				Age: max(0, now-w.BornAt), Restarts: s.Restarts, Heirs: slices.Clone(w.Heirs),
			}
			if w.State == Waiting {
				ws.RetryIn = max(0, w.Deadline-now)
			}
			for _, had := range w.Watches {
				if !had.Asked {
					ws.Watches = append(ws.Watches, had.Slot)
				}
			}
			st.Workers = append(st.Workers, ws)
		}
	}
	for _, a := range m.Accounts {
		if a.DoneAt > 0 {
			st.Accounts = append(st.Accounts, a.Account)
		}
	}
	slices.SortFunc(st.Workers, func(a, b WorkerStatus) int {
		return cmp.Or(cmp.Compare(a.ID.Slot, b.ID.Slot), cmp.Compare(a.ID.Incarnation, b.ID.Incarnation))
	})
	return st
}

// Staying is the number of slots that are to stay; those from this number on
// retire.
func (m *Machine) Staying() int {
	for n, s := range m.Slots {
		if s.Retiring {
			return n // retireAbove and begin keep them at the end
		}
	}
	return len(m.Slots)
}

// overall condenses everything into the word that operators see.
func (m *Machine) overall() Overall {
	switch {
	case m.Phase == stopping || m.Phase == gone:
		return StateStopping
	case m.Phase == fresh || m.Change != nil && m.Change.Kind == start:
		return StateStarting
	case m.Phase == drained:
		return StateDrained
	case m.Degraded:
		return StateDegraded
	case m.Change != nil && m.Change.Kind == reload:
		return StateReloading
	}
	return StateServing
}

func (m *Machine) announce() {
	if now := m.overall(); now != m.Announced {
		m.Announced = now
		m.do(Announce{State: now})
	}
}
