package supervise

import (
	"fmt"
	"slices"
	"time"
)

// waiter is a caller who waits for the end of a change.
type waiter struct {
	Caller   Caller `json:"caller"`
	Deadline Time   `json:"deadline"` // 0: as long as it takes
}

// addWaiter adds somebody to a list; nobody, a signal, counts once however
// often it came, or a storm of signals would make the list grow.
func addWaiter(list []waiter, w waiter) []waiter {
	if w == (waiter{}) && slices.Contains(list, w) {
		return list
	}
	return append(list, w)
}

// wish is a change that waits until the running one has ended.
type wish struct {
	Target  Target   `json:"target"` // of a reload
	Slots   int      `json:"slots"`  // of a scale
	Callers []waiter `json:"callers"`
}

// Outcome is what came of the last reload.
type Outcome struct {
	Result Result        `json:"result"` // empty: there was none
	Took   time.Duration `json:"took"`
	Reason string        `json:"reason"`
}

// waiting returns every list of callers whose time can run out.
func (m *Machine) waiting() []*[]waiter {
	lists := []*[]waiter{&m.Loading}
	if m.Change != nil {
		lists = append(lists, &m.Change.Callers)
	}
	for _, w := range []*wish{m.NextReload, m.NextScale} {
		if w != nil {
			lists = append(lists, &w.Callers)
		}
	}
	return lists
}

// expireCallers answers those whose time ran out. A change or a wish that
// nobody waits for any more, because everybody's time ran out, is undone; the
// change by progress, which then answers them.
func (m *Machine) expireCallers() {
	const early = "the timeout ran out before it could begin; nothing changed"
	m.expireIn(&m.Loading, early)
	if m.NextReload != nil && m.expireIn(&m.NextReload.Callers, early) {
		m.NextReload = nil
	}
	if m.NextScale != nil && m.expireIn(&m.NextScale.Callers, early) {
		m.NextScale = nil
	}
	switch c := m.Change; {
	case c == nil:
	case m.allOverdue(c.Callers):
		c.Abandoned = true
		for i := range c.Callers {
			c.Callers[i].Deadline = 0
		}
	default:
		m.expireIn(&c.Callers, "the timeout ran out; it goes on, because others wait for it")
	}
}

// allOverdue tells whether somebody waits and everybody's time has run out.
func (m *Machine) allOverdue(list []waiter) bool {
	for _, w := range list {
		if w.Deadline == 0 || w.Deadline > m.now {
			return false
		}
	}
	return len(list) > 0
}

// expireIn answers the overdue callers of a list and tells whether they were
// the last ones in it.
func (m *Machine) expireIn(list *[]waiter, reason string) (abandoned bool) {
	kept := (*list)[:0:0]
	for _, w := range *list {
		if w.Deadline == 0 || w.Deadline > m.now {
			kept = append(kept, w)
			continue
		}
		m.answer(w.Caller, TimedOut, reason)
	}
	abandoned = len(kept) == 0 && len(*list) > 0
	*list = kept
	return abandoned
}

// callerLeft makes a caller nobody: what it asked for goes on without a
// deadline. Who still waits for LoadConfig keeps its name, or the outcome
// could not be matched to the request.
func (m *Machine) callerLeft(c Caller) {
	for i := range m.Loading {
		if m.Loading[i].Caller == c {
			m.Loading[i].Deadline = 0
		}
	}
	isCaller := func(w waiter) bool { return w.Caller == c }
	for _, list := range m.waiting()[1:] {
		if slices.ContainsFunc(*list, isCaller) {
			*list = addWaiter(slices.DeleteFunc(*list, isCaller), waiter{})
		}
	}
	for _, a := range m.Accounts {
		if a.Callers = slices.DeleteFunc(a.Callers, func(s Caller) bool { return s == c }); len(a.Callers) == 0 {
			a.AnswerBy = 0
		}
	}
	m.Stoppers = slices.DeleteFunc(m.Stoppers, func(s Caller) bool { return s == c })
}

// answer answers a caller; nobody needs none.
func (m *Machine) answer(c Caller, result Result, reason string) {
	if c != 0 {
		m.do(Answer{Caller: c, Result: result, Reason: reason})
	}
}

// refuse answers a caller and notes it, so that a signal's refusal is seen too.
func (m *Machine) refuse(c Caller, result Result, what, reason string) {
	m.note(Note{Level: Warn, Text: what + " refused", Reason: reason})
	m.answer(c, result, reason)
}

func (m *Machine) reloadRequested(c Caller, timeout time.Duration) {
	if reason := m.unable(); reason != "" {
		m.refuse(c, Failed, "reload", reason)
		return
	}
	if c == 0 && slices.Contains(m.Loading, waiter{}) {
		m.LoadAgain = true // the file may have changed since it was opened
		return
	}
	w := waiter{Caller: c}
	if timeout > 0 {
		w.Deadline = m.now + min(timeout, TimeoutMax)
	}
	m.Loading = append(m.Loading, w)
	m.do(LoadConfig{Caller: c})
}

// unable says why no change can begin, now or later; "" when it can.
func (m *Machine) unable() string {
	switch m.Phase {
	case fresh:
		return "the master has not started yet"
	case stopping:
		return "the master is stopping"
	}
	return ""
}

// takeLoading removes the first waiter of the caller from those whose
// configuration is being read, and has it read again for a signal that came
// meanwhile.
func (m *Machine) takeLoading(c Caller) (w waiter, ok bool) {
	i := slices.IndexFunc(m.Loading, func(w waiter) bool { return w.Caller == c })
	if i < 0 {
		return waiter{}, false
	}
	w = m.Loading[i]
	m.Loading = slices.Delete(m.Loading, i, i+1)
	if c == 0 && m.LoadAgain {
		m.LoadAgain = false
		m.reloadRequested(0, 0)
	}
	return w, true
}

func (m *Machine) configRefused(ev ConfigRefused) {
	if _, ok := m.takeLoading(ev.Caller); ok {
		m.refuseReload(ev.Caller, ev.Reason)
	}
}

func (m *Machine) refuseReload(c Caller, reason string) {
	m.LastReload = Outcome{Result: Refused, Reason: reason}
	m.refuse(c, Refused, "reload", reason)
}

// configLoaded makes the target the next reload. One that already waits is
// replaced, the last file wins, and its callers get the result of this one.
func (m *Machine) configLoaded(ev ConfigLoaded) {
	m.keep(ev.Target.Revision)
	w, ok := m.takeLoading(ev.Caller)
	if !ok {
		return
	}
	if err := ev.Target.Validate(); err != nil {
		m.refuseReload(ev.Caller, err.Error())
		return
	}
	if m.NextReload == nil {
		m.NextReload = &wish{}
	}
	m.NextReload.Target = ev.Target
	m.NextReload.Callers = addWaiter(m.NextReload.Callers, w)
}

func (m *Machine) scaleRequested(ev ScaleRequested) {
	if reason := m.unable(); reason != "" {
		m.refuse(ev.Caller, Failed, "scale", reason)
		return
	}
	wanted := ev.Workers
	if ev.Relative {
		wanted = m.expectedSlots() + ev.Delta
	}
	if wanted < 1 || wanted > SlotsMax {
		m.refuse(ev.Caller, Refused, "scale", fmt.Sprintf("workers would be %d: it must be 1 to %d (stop ends the service)", wanted, SlotsMax))
		return
	}
	if m.NextScale == nil {
		m.NextScale = &wish{}
	}
	m.NextScale.Slots = wanted
	m.NextScale.Callers = addWaiter(m.NextScale.Callers, waiter{Caller: ev.Caller})
}

// expectedSlots is how many slots there will be once everything that is under
// way or waits has happened: what +1 and -1 refer to.
func (m *Machine) expectedSlots() int {
	if m.NextScale != nil {
		return m.NextScale.Slots
	}
	configured, wanted := m.Target.Slots, m.Wanted
	if c := m.Change; c != nil {
		configured, wanted = c.Target.Slots, c.Slots
	}
	if w := m.NextReload; w != nil && w.Target.Slots != configured {
		return w.Target.Slots
	}
	return wanted
}

// slotsAfter is how many slots a reload to the target leads to: the operator's
// scale holds until the configured number itself changes.
func (m *Machine) slotsAfter(t Target) int {
	if t.Slots == m.Target.Slots {
		return m.Wanted
	}
	return t.Slots
}

// beginNext begins what waits, when nothing is in its way: a reload first.
func (m *Machine) beginNext() {
	if m.Change != nil || m.unable() != "" {
		return
	}
	if w := m.NextReload; w != nil {
		m.NextReload = nil
		m.begin(&change{Kind: reload, Target: w.Target, Slots: m.slotsAfter(w.Target), Callers: w.Callers})
		return
	}
	w := m.NextScale
	if w == nil {
		return
	}
	m.NextScale = nil
	kind := scale
	if m.Phase == drained {
		kind = resume
	} else if w.Slots == m.Wanted {
		for _, c := range w.Callers {
			m.answer(c.Caller, Done, "")
		}
		return
	}
	m.begin(&change{Kind: kind, Target: m.Target, Slots: w.Slots, Callers: w.Callers})
}

func (m *Machine) upgradeRequested(c Caller) {
	if change := m.busyWith(); change != "" {
		m.refuse(c, Busy, "upgrade", "busy with a "+change+": try again when it has ended")
		return
	}
	m.refuse(c, Failed, "upgrade", "not yet: this version cannot replace its own binary; stop it and start the new one")
}

// busyWith names the change that is under way or about to be; "" when none is.
func (m *Machine) busyWith() string {
	switch {
	case m.Change != nil:
		return string(m.Change.Kind)
	case len(m.Loading) > 0:
		return string(reload)
	}
	return ""
}

func (m *Machine) reopenRequested(c Caller) {
	m.do(ReopenLogs{})
	m.answer(c, Done, "")
}

// recycleRequested marks a worker; recycleWanted replaces it as soon as no
// change is in the way.
func (m *Machine) recycleRequested(ev RecycleRequested) {
	if s, w := m.find(ev.ID); w != nil && w == s.Serving && w.State == Ready {
		w.Recycle = ev.Reason
	}
}

// recycleWanted brings up successors for the marked workers. They are promoted
// when they are ready; a change that begins before that replaces everybody or
// finds the mark again at its end.
func (m *Machine) recycleWanted() {
	if m.Change != nil || m.Phase != running {
		return
	}
	for _, s := range m.Slots {
		w := s.Serving
		if w == nil || w.Recycle == "" || s.Coming != nil || s.Retiring {
			continue
		}
		m.note(Note{Text: "worker is recycled", ID: w.ID, Generation: w.Generation, PID: w.PID, Reason: w.Recycle})
		s.Coming = m.newWorker(s, w.Generation, w.Revision)
		m.launchSuccessor(s, s.Coming, !m.proven(w))
		s.Coming.GiveUpAt = max(m.now, s.Coming.Deadline) + m.Target.StartTimeout
	}
}
