package supervise

import (
	"fmt"
	"slices"
)

// Check returns the first broken invariant (see the package comment), or nil.
// I5 and I7, and the parts of I3 and I4 that are about sequences of actions,
// are checked by the tests.
func (m *Machine) Check() error {
	if err := m.checkWhole(); err != nil {
		return err
	}
	if err := m.checkWishes(); err != nil {
		return err
	}
	seen := map[uint64]bool{}
	for n, s := range m.Slots {
		if s == nil || s.Number != n {
			return fmt.Errorf("slot %d is missing or numbered otherwise", n)
		}
		if err := m.checkSlot(s); err != nil {
			return fmt.Errorf("slot %d: %w", n, err)
		}
		for _, w := range s.workers() {
			if seen[w.ID.Incarnation] || w.ID.Incarnation > m.LastIncarnation {
				return fmt.Errorf("I3: incarnation %d is reused or from the future (last is %d)", w.ID.Incarnation, m.LastIncarnation)
			}
			seen[w.ID.Incarnation] = true
		}
	}
	if err := m.checkAccounts(); err != nil {
		return fmt.Errorf("I12: %w", err)
	}
	return nil
}

func (m *Machine) checkWhole() error {
	if err := m.Target.Validate(); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	switch {
	case m.Phase > gone:
		return fmt.Errorf("phase %d is unknown", m.Phase)
	case m.Wanted < 1 || m.Wanted > SlotsMax || len(m.Slots) > SlotsMax:
		return fmt.Errorf("%d slots wanted, %d there: 1 to %d are possible", m.Wanted, len(m.Slots), SlotsMax)
	case m.Generation > m.LastGeneration:
		return fmt.Errorf("I3: generation %d is newer than the newest, %d", m.Generation, m.LastGeneration)
	case m.Phase == fresh && len(m.Slots) > 0:
		return fmt.Errorf("there are slots before the start")
	case m.staffed() && len(m.Slots) < m.Wanted:
		return fmt.Errorf("L1: %d slots wanted, %d there", m.Wanted, len(m.Slots))
	}
	return m.checkChange()
}

// staffed tells whether the first generation has served: from then on there
// is a slot for every worker that is wanted.
func (m *Machine) staffed() bool {
	return m.Phase == drained || m.Phase == running && (m.Change == nil || m.Change.Kind != start)
}

// changesIn lists which changes are possible in which phase.
var changesIn = map[phase][]changeKind{
	running: {start, reload, scale},
	drained: {reload, resume},
}

func (m *Machine) checkChange() error {
	c := m.Change
	if c == nil {
		return nil
	}
	if err := c.Target.Validate(); err != nil {
		return fmt.Errorf("change: %w", err)
	}
	switch {
	case !slices.Contains(changesIn[m.Phase], c.Kind):
		return fmt.Errorf("I4: a change of kind %q is under way in phase %d", c.Kind, m.Phase)
	case c.Generation < m.Generation || c.Generation > m.LastGeneration:
		return fmt.Errorf("I3: a change to generation %d is under way, after %d and before %d", c.Generation, m.Generation, m.LastGeneration)
	case c.Slots < 1 || c.Slots > SlotsMax || c.First < 0 || c.First > m.Wanted || c.Next < c.First || c.Next > c.Slots:
		return fmt.Errorf("change: slots %d to %d of %d are impossible", c.First, c.Next, c.Slots)
	case c.First > 0 && c.Kind != scale:
		return fmt.Errorf("change: a %s replaces everybody, not only from slot %d on", c.Kind, c.First)
	case c.Opening && c.Next > c.First || !c.Opening && len(m.Slots) < c.Slots:
		return fmt.Errorf("change: slot %d has a worker before its sockets", c.Next)
	}
	return nil
}

func (m *Machine) checkWishes() error {
	if w := m.NextReload; w != nil {
		if err := w.Target.Validate(); err != nil {
			return fmt.Errorf("next reload: %w", err)
		}
	}
	if w := m.NextScale; w != nil && (w.Slots < 1 || w.Slots > SlotsMax) {
		return fmt.Errorf("next scale: %d slots are impossible", w.Slots)
	}
	return nil
}

func (m *Machine) checkSlot(s *slot) error {
	if err := checkSeats(s); err != nil {
		return err
	}
	if err := m.checkPurpose(s); err != nil {
		return err
	}
	if err := m.checkRetiring(s); err != nil {
		return err
	}
	for _, w := range s.workers() {
		if err := m.checkHelp(w); err != nil {
			return fmt.Errorf("I9: worker %v %w", w.ID, err)
		}
		if err := m.checkHeirs(s, w); err != nil {
			return fmt.Errorf("I11: worker %v %w", w.ID, err)
		}
		switch {
		case w.ID.Slot != s.Number:
			return fmt.Errorf("worker %v is in the wrong slot", w.ID)
		case w.Deadline <= 0 && (w.State != Ready || w.BeatAt > 0):
			return fmt.Errorf("I2: worker %v is %v without a deadline", w.ID, w.State)
		case w.ReadyDue != 0 && w.State != Starting:
			return fmt.Errorf("I2: worker %v is %v and still comes up", w.ID, w.State)
		case w.BeatAt != 0 && w.State < Ready:
			return fmt.Errorf("I2: worker %v is %v and was judged by its heartbeat", w.ID, w.State)
		case w.Generation > m.LastGeneration:
			return fmt.Errorf("I3: worker %v is of generation %d, the newest is %d", w.ID, w.Generation, m.LastGeneration)
		}
	}
	return checkRespawns(s)
}

func checkSeats(s *slot) error {
	if w := s.Serving; w != nil && w.State != Waiting && w.State != Starting && w.State != Ready {
		return fmt.Errorf("I1: the serving seat is taken by %v, who has state %d", w.ID, w.State)
	}
	if w := s.Coming; w != nil && w.State != Waiting && w.State != Starting && w.State != Standby {
		return fmt.Errorf("I1: the coming seat is taken by %v, who has state %d", w.ID, w.State)
	}
	for _, w := range s.Leaving {
		if w == nil || w.State != Draining && w.State != Aborting && w.State != Killed {
			return fmt.Errorf("I1: a leaving seat is taken by somebody who does not leave")
		}
	}
	if room(s) < 0 {
		return fmt.Errorf("I1: more than two processes that were not killed")
	}
	return nil
}

// checkPurpose checks that the slot is as full as the whole wants it to be.
func (m *Machine) checkPurpose(s *slot) error {
	if m.Phase == stopping || m.Phase == gone {
		if s.Serving != nil || s.Coming != nil {
			return fmt.Errorf("I4: somebody does not leave although the master stops")
		}
		return nil
	}
	wanted := m.Wanted
	if m.Change != nil {
		wanted = max(wanted, m.Change.Slots)
	}
	switch {
	case s.Retiring != (s.Number >= wanted):
		return fmt.Errorf("it retires: %v, and %d slots are wanted", s.Retiring, wanted)
	case s.Retiring && (s.Serving != nil || s.Coming != nil):
		return fmt.Errorf("I1: it retires and has somebody in a seat")
	case m.Phase != running && s.Serving != nil:
		return fmt.Errorf("I4: it serves although nobody is wanted")
	case m.Phase == running && m.staffed() && s.Number < m.Wanted && s.Serving == nil:
		return fmt.Errorf("L1: nobody is in the serving seat")
	}
	return m.checkComing(s)
}

// checkComing checks that who comes is who is wanted: in a change a worker in
// each slot that had its turn, else the successor of one who is recycled.
func (m *Machine) checkComing(s *slot) error {
	c := m.Change
	if c == nil {
		if s.Coming != nil && (s.Coming.State == Standby || s.Serving == nil || s.Serving.State != Ready) {
			return fmt.Errorf("I8: somebody comes whom nobody wants")
		}
		return nil
	}
	hadItsTurn := s.Number >= c.First && s.Number < c.Next
	switch {
	case s.Coming != nil && (!hadItsTurn || s.Coming.Generation != c.Generation):
		return fmt.Errorf("I8: somebody comes who is not of the %s under way", c.Kind)
	case hadItsTurn && s.Coming == nil && (s.Serving == nil || s.Serving.Generation != c.Generation):
		return fmt.Errorf("L1: nobody comes, and the %s waits for somebody", c.Kind)
	}
	return nil
}

// checkRetiring checks that a slot is emptied when, and only when, it is of no use.
func (m *Machine) checkRetiring(s *slot) error {
	unused := s.Retiring && s.empty()
	switch {
	case s.EmptyBy != 0 && !unused:
		return fmt.Errorf("I10: it is emptied and may still be needed")
	case s.Emptied && s.EmptyBy == 0 || s.LeftBehind != 0 && !s.Emptied:
		return fmt.Errorf("I10: it was emptied unasked")
	case unused && s.EmptyBy == 0 && (m.Phase == running || m.Phase == drained):
		return fmt.Errorf("L1: nobody has asked for its end")
	}
	return nil
}

// checkHelp checks what a worker watches.
func (m *Machine) checkHelp(w *worker) error {
	switch {
	case (w.Listens || w.Deaf) && w.State != Ready:
		return fmt.Errorf("listens or is deaf, and does not serve")
	case len(w.Watches) > 0 && (!w.Listens || w.Deaf):
		return fmt.Errorf("watches others and does not listen")
	case len(w.Watches) > watchesMax:
		return fmt.Errorf("watches %d slots, more than %d", len(w.Watches), watchesMax)
	}
	for i, had := range w.Watches {
		if err := m.checkWatch(w, had); err != nil {
			return fmt.Errorf("and slot %d: %w", had.Slot, err)
		}
		if watchOf(w, had.Slot) != i {
			return fmt.Errorf("and slot %d: it watches it twice", had.Slot)
		}
	}
	return nil
}

func (m *Machine) checkWatch(w *worker, had watch) error {
	there := had.Slot < len(m.Slots)
	switch {
	case had.Slot < 0 || had.Slot >= SlotsMax || had.Slot == w.ID.Slot:
		return fmt.Errorf("that is no sibling's")
	case !there && !had.Ending && !had.Stale:
		return fmt.Errorf("it has closed, and nobody says so")
	case had.Ending && !had.Asked:
		return fmt.Errorf("it lets go of it unasked")
	case had.Asked:
		return nil
	case !m.helps(w, had.Slot):
		return fmt.Errorf("it should not watch it, and nobody says so")
	}
	if owner, _ := m.listener(had.Slot); owner != 0 && (had.Stale || had.Owner != owner) {
		return fmt.Errorf("it stands before the owner, incarnation %d, and nobody says so", owner)
	}
	return nil
}

func checkRespawns(s *slot) error {
	if !slices.IsSorted(s.Respawns) {
		return fmt.Errorf("I6: the replacements are not in order")
	}
	for i := respawnMax; i < len(s.Respawns); i++ {
		if s.Respawns[i]-s.Respawns[i-respawnMax] < respawnWindow {
			return fmt.Errorf("I6: more than %d replacements within %v", respawnMax, respawnWindow)
		}
	}
	return nil
}
