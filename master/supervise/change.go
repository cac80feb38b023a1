package supervise

import (
	"fmt"
	"time"
)

// changeKind is the reason for a change.
type changeKind string

const (
	start  changeKind = "start"
	reload changeKind = "reload"
	scale  changeKind = "scale"
	resume changeKind = "resume"
)

// change is a running alteration of the set of workers; see the package comment.
type change struct {
	Kind       changeKind `json:"kind"`
	Generation uint64     `json:"generation"` // what its workers are of
	Account    uint64     `json:"account"`    // 0 of a start: nobody has served before
	Target     Target     `json:"target"`
	Slots      int        `json:"slots"` // wanted at its end
	Callers    []waiter   `json:"callers"`
	BeganAt    Time       `json:"began_at"`
	Opening    bool       `json:"opening"`   // waits for its sockets
	Abandoned  bool       `json:"abandoned"` // everybody's time ran out; ends when its sockets are known
	First      int        `json:"first"`     // slots from First on get new workers
	Next       int        `json:"next"`      // the next slot to get one
}

// allOrNothing tells whether every new worker may run beside the old ones, so
// that nobody is replaced before everybody is ready. Out of drained there are
// no old ones, and half a generation must not serve while nobody is wanted.
func (m *Machine) allOrNothing(c *change) bool {
	return c.Kind != reload || m.Phase == drained || c.Target.surge(c.Slots) >= c.Slots
}

// begin starts a change. The caller has made sure that none is running. Who
// was about to be recycled is not any more: its mark is found again later.
func (m *Machine) begin(c *change) {
	c.Generation = m.Generation
	if c.Kind == start || c.Kind == reload {
		m.LastGeneration++
		c.Generation = m.LastGeneration
	}
	if c.Kind != start {
		c.Account = m.openAccount(string(c.Kind), c.Generation)
	}
	for _, s := range m.Slots {
		if s.Coming != nil {
			m.leave(s, s.Coming, c.Account, "a "+string(c.Kind)+" began")
		}
		if s.Number < c.Slots {
			s.stay() // BEFORE OpenSockets: what it finds open must stay so
		}
	}
	if c.Kind == scale {
		c.First = min(m.Wanted, c.Slots)
	}
	c.Next, c.BeganAt, c.Opening = c.First, m.now, true
	m.Change = c
	m.note(Note{Text: string(c.Kind) + " began", Generation: c.Generation, Reason: slotCount(c.Slots)})
	m.do(OpenSockets{Generation: c.Generation, Revision: c.Target.Revision, Slots: c.Slots})
}

func slotCount(n int) string {
	if n == 1 {
		return "1 slot"
	}
	return fmt.Sprintf("%d slots", n)
}

// socketsOpened makes the slots that have sockets now, so that a roll back
// closes them again.
func (m *Machine) socketsOpened(ev SocketsOpened) {
	c := m.Change
	if c == nil || !c.Opening || c.Generation != ev.Generation {
		return
	}
	c.Opening = false
	for n := len(m.Slots); n < c.Slots; n++ {
		m.Slots = append(m.Slots, &slot{Number: n})
	}
}

func (m *Machine) socketsFailed(ev SocketsFailed) {
	if c := m.Change; c != nil && c.Opening && c.Generation == ev.Generation {
		m.rollBack(RolledBack, ev.Reason, "")
	}
}

// progress moves the running change on as far as it goes.
func (m *Machine) progress() {
	c := m.Change
	if c == nil || c.Opening {
		return
	}
	if c.Abandoned {
		m.rollBack(TimedOut, "the caller's timeout ran out", "")
		return
	}
	atOnce := m.allOrNothing(c)
	coming, standby := 0, 0
	for _, s := range m.Slots {
		if s.Coming != nil && s.Coming.State == Standby && !atOnce {
			m.promote([]*slot{s}, c.Account)
		}
		if s.Coming == nil {
			continue
		}
		coming++
		if s.Coming.State == Standby {
			standby++
		}
	}
	for ; c.Next < c.Slots && (atOnce || coming < c.Target.surge(c.Slots)); c.Next++ {
		m.bringUp(c, c.Next)
		coming++
	}
	if c.Next == c.Slots && coming == standby {
		m.commit(c)
	}
}

// bringUp puts a worker of the change into a slot's coming seat.
func (m *Machine) bringUp(c *change, number int) {
	s := m.Slots[number]
	s.Coming = m.newWorker(s, c.Generation, c.Target.Revision)
	s.Coming.GiveUpAt = m.now + c.Target.StartTimeout
	m.launch(s, s.Coming)
}

// commit makes the change's target the one that is true from now on.
func (m *Machine) commit(c *change) {
	m.Change = nil
	m.Phase = running
	m.Generation, m.Target, m.Wanted = c.Generation, c.Target, c.Slots
	var ready []*slot
	for _, s := range m.Slots {
		if s.Coming != nil {
			ready = append(ready, s)
		}
	}
	m.promote(ready, c.Account)
	m.retireAbove(c.Slots, c.Account)
	m.finish(c, Done, "", "")
}

// promote lets ready workers take the serving seats, on an account. Everybody is told to
// serve BEFORE anybody is told to drain: a slot is never without an owner.
func (m *Machine) promote(slots []*slot, account uint64) {
	predecessors := make([]*worker, len(slots))
	for i, s := range slots {
		predecessors[i] = s.Serving
		s.Serving, s.Coming = s.Coming, nil
		m.serve(s.Serving)
	}
	for i, s := range slots {
		if old := predecessors[i]; old != nil {
			m.leave(s, old, account, fmt.Sprintf("replaced by %d/%d", s.Serving.ID.Slot, s.Serving.ID.Incarnation))
		}
	}
}

// retireAbove retires the slots from number on, the highest first, on an account.
func (m *Machine) retireAbove(number int, account uint64) {
	for n := len(m.Slots) - 1; n >= number; n-- {
		s := m.Slots[n]
		if !s.Retiring {
			s.Retiring, s.Account = true, account
		}
		for _, w := range []*worker{s.Coming, s.Serving} {
			if w != nil {
				m.leave(s, w, account, "its slot retires")
			}
		}
	}
}

// rollBack ends the running change without its aim: its workers drain, ready
// or not, and whoever served serves on.
func (m *Machine) rollBack(result Result, reason, words string) {
	c := m.Change
	m.Change = nil
	if c.Target.Revision != m.Target.Revision {
		m.do(AbandonSockets{Revision: c.Target.Revision})
	}
	for _, s := range m.Slots {
		if s.Coming != nil {
			m.leave(s, s.Coming, c.Account, string(c.Kind)+" rolled back")
		}
	}
	m.retireAbove(m.Wanted, c.Account)
	if moved := m.slotsOf(c.Generation); c.Kind == reload && len(moved) > 0 {
		reason += fmt.Sprintf("; slots %v serve generation %d, the others stay as they were", moved, c.Generation)
	}
	m.finish(c, result, reason, words)
	if c.Kind == start {
		m.Failure = withWords(reason, words)
		m.beginStop(1)
	}
}

// finish records and answers the result of a change.
func (m *Machine) finish(c *change, result Result, reason, words string) {
	took := m.now - c.BeganAt
	n := Note{Text: string(c.Kind) + " done", Generation: c.Generation, Reason: fmt.Sprintf("in %v", took.Round(time.Millisecond))}
	if result != Done {
		n = Note{Level: Error, Text: string(c.Kind) + " rolled back", Generation: c.Generation, Reason: reason, Words: words}
	}
	m.note(n)
	reason = withWords(reason, words)
	if c.Kind == reload {
		m.LastReload = Outcome{Result: result, Took: took, Reason: reason}
	}
	if m.settleChange(c, result) {
		return
	}
	for _, w := range c.Callers {
		m.answer(w.Caller, result, reason)
	}
}

func withWords(reason, words string) string {
	if words == "" {
		return reason
	}
	return reason + "\n" + words
}

// slotsOf lists the slots whose serving worker is of the generation.
func (m *Machine) slotsOf(generation uint64) (numbers []int) {
	for _, s := range m.Slots {
		if s.Serving != nil && s.Serving.Generation == generation {
			numbers = append(numbers, s.Number)
		}
	}
	return numbers
}
