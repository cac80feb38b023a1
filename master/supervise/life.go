package supervise

import (
	"fmt"
	"slices"
	"time"
)

// newWorker makes the next incarnation of a slot; it has no process yet.
func (m *Machine) newWorker(s *slot, generation, revision uint64) *worker {
	m.LastIncarnation++
	return &worker{
		ID:         WorkerID{Slot: s.Number, Incarnation: m.LastIncarnation},
		Generation: generation, Revision: revision,
		State: Waiting, BornAt: m.now, Deadline: m.now,
	}
}

// targetFor returns the target that rules a worker's timeouts.
func (m *Machine) targetFor(w *worker) Target {
	if m.Change != nil && m.Change.Generation == w.Generation {
		return m.Change.Target
	}
	return m.Target
}

// become moves a worker to a state that ends after limit (0: never) and says so.
func (m *Machine) become(w *worker, to State, limit time.Duration, n Note) {
	n.ID, n.Generation, n.PID, n.From, n.To = w.ID, w.Generation, w.PID, w.State, to
	if n.Text == "" {
		n.Text = "worker is " + to.String()
	}
	w.State, w.Since, w.Deadline, w.ReadyDue = to, m.now, 0, 0
	w.Listens, w.Deaf, w.Watches = false, false, nil // who leaves lets go of everything by itself
	w.Heirs = nil
	if limit > 0 {
		w.Deadline = m.now + limit
	}
	m.note(n)
}

func (m *Machine) note(n Note) { m.do(n) }

// launch spawns a waiting worker. Two processes in a slot are the limit. A
// newcomer waits for room, for as long as whoever drains there may take: to kill
// that one would lose what it still answers. The serving seat does not wait; for
// it the oldest that leaves must go, drained or not.
func (m *Machine) launch(s *slot, w *worker) {
	if w == s.Coming && room(s) < 1 {
		m.awaitRoom(w, s.leaver())
		return
	}
	w.Crowded = false
	for room(s) < 1 {
		m.kill(s.leaver(), "a third incarnation is wanted in its slot")
	}
	t := m.targetFor(w)
	w.Own = t.Own
	m.become(w, Starting, t.StartTimeout, Note{Level: Debug})
	if t.ReadyAfter > 0 {
		w.ReadyDue = m.now + t.ReadyAfter
	}
	m.do(Spawn{ID: w.ID, Generation: w.Generation, Revision: w.Revision})
}

// awaitRoom lets a newcomer wait until the leaver has gone; launchCrowded sees it.
func (m *Machine) awaitRoom(w, leaver *worker) {
	if !w.Crowded {
		w.Crowded, w.State = true, Empty // Empty only for the note: a seat is filled
		m.become(w, Waiting, 0, Note{Reason: fmt.Sprintf("%d/%d still drains, and two processes in a slot are the limit", leaver.ID.Slot, leaver.ID.Incarnation)})
	}
	w.Deadline = leaver.Deadline
}

// launchCrowded launches the newcomers that waited for room and have it now.
func (m *Machine) launchCrowded() {
	for _, s := range m.Slots {
		if w := s.Coming; w != nil && w.Crowded && w.State == Waiting && room(s) > 0 {
			w.GiveUpAt = m.now + m.targetFor(w).StartTimeout // its time begins now
			m.launch(s, w)
		}
	}
}

// room returns how many more processes may live in the slot.
func room(s *slot) int {
	alive := 0
	for _, w := range s.workers() {
		if w.alive() {
			alive++
		}
	}
	return 2 - alive
}

// serve makes the worker in the serving seat accept.
func (m *Machine) serve(w *worker) {
	w.ReadyAt = m.now
	m.become(w, Ready, 0, Note{})
	m.do(Serve{ID: w.ID, Revision: w.Revision})
}

// leave moves a worker out of its seat and lets it drain, on an account. One that
// has no process yet is gone at once.
func (m *Machine) leave(s *slot, w *worker, account uint64, reason string) {
	s.unseat(w)
	if w.State == Waiting {
		m.become(w, Empty, 0, Note{Level: Debug, Reason: reason})
		return
	}
	s.Leaving = append(s.Leaving, w)
	w.Account = account
	m.become(w, Draining, m.targetFor(w).DrainTimeout, Note{Reason: reason})
	m.bequeath(s, w)
	m.do(Drain{ID: w.ID, Deadline: w.Deadline})
}

// unseat takes a worker out of the seat that it has.
func (s *slot) unseat(w *worker) {
	switch w {
	case s.Serving:
		s.Serving = nil
	case s.Coming:
		s.Coming = nil
	default:
		for i := range s.Leaving {
			if s.Leaving[i] == w {
				s.Leaving = append(s.Leaving[:i:i], s.Leaving[i+1:]...)
				return
			}
		}
	}
}

// abort moves a worker out of its seat with SIGABRT: it may dump its stack
// before SIGKILL comes.
func (m *Machine) abort(s *slot, w *worker, reason string) {
	m.accountFor(s, w, causeCrash)
	s.unseat(w)
	s.Leaving = append(s.Leaving, w)
	m.become(w, Aborting, abortTimeout, Note{Level: Error, Reason: reason})
	m.do(Abort{ID: w.ID})
}

func (m *Machine) kill(w *worker, reason string) {
	m.become(w, Killed, killTimeout, Note{Level: Warn, Reason: reason})
	m.do(Kill{ID: w.ID})
}

// workerOverdue acts on a worker whose state has lasted too long.
func (m *Machine) workerOverdue(s *slot, w *worker) {
	switch w.State {
	case Waiting:
		m.launch(s, w)
	case Starting:
		reason := m.tooLate(w)
		serving := w == s.Serving
		m.abort(s, w, reason)
		m.vacated(s, w, serving, reason, "")
	case Standby:
		m.vacatedComing(s, w, "was kept waiting too long for the others", "")
	case Draining:
		m.kill(w, "still busy when its drain-timeout ended")
	case Aborting:
		m.kill(w, fmt.Sprintf("still there %v after SIGABRT", abortTimeout))
	case Killed:
		w.Stuck = true
		m.kill(w, fmt.Sprintf("still there %v after SIGKILL, probably in uninterruptible sleep", killTimeout))
	}
}

// tooLate explains why a start was given up.
func (m *Machine) tooLate(w *worker) string {
	t := m.targetFor(w)
	reason := fmt.Sprintf("not ready within start-timeout %v", t.StartTimeout)
	if asked := w.Deadline - w.Since - t.StartTimeout; asked > 0 {
		reason += fmt.Sprintf(" and the %v more that it asked for", asked.Round(time.Millisecond))
	}
	if t.NeverReady != "" && !w.Own {
		reason += ": " + t.NeverReady
	}
	return reason
}

func (m *Machine) workerSpawned(ev WorkerSpawned) {
	if _, w := m.find(ev.ID); w != nil && w.State != Waiting {
		w.PID = ev.PID
	}
}

// spawnFailed drops a worker that never had a process. In a change a
// temporary error is tried again, until the worker's time to start is over.
func (m *Machine) spawnFailed(ev SpawnFailed) {
	s, w := m.find(ev.ID)
	if w == nil || w.State == Waiting {
		return
	}
	if w == s.Coming && ev.Temporary && m.now < w.GiveUpAt {
		w.Tries++
		m.become(w, Waiting, m.backoff(w.Tries), Note{Level: Warn, Reason: ev.Reason})
		return
	}
	m.departed(s, w, Note{Text: "worker could not be started", Reason: ev.Reason})
}

func (m *Machine) workerExited(ev WorkerExited) {
	s, w := m.find(ev.ID)
	if w == nil || w.State == Waiting {
		return // Waiting has no process; whoever says so speaks of another one
	}
	n := Note{Text: "worker exited", Reason: ev.Reason, Words: ev.Words}
	switch {
	case ev.Clean && w.State == Ready:
		n.Reason += " although nobody told it to leave"
	case w.State == Starting && ev.Clean:
		n.Reason += " before it was ready: a worker must stay in the foreground, so switch off its option to go into the background"
	case w.State == Starting:
		n.Reason += " before it was ready"
	case w.State == Standby:
		n.Reason += " before it served"
	}
	if w == s.Serving {
		m.accountFor(s, w, causeCrash)
	}
	m.payIn(w, ev.Tally)
	m.departed(s, w, n)
	m.ringBell() // an adopted worker's end raises no SIGCHLD
}

// departed removes a worker that has no process, or none any more, and decides
// what follows. The last words of one that was told to leave are no news.
func (m *Machine) departed(s *slot, w *worker, n Note) {
	serving, coming := w == s.Serving, w == s.Coming
	if serving || coming {
		n.Level = Warn
	} else {
		n.Words = ""
	}
	s.unseat(w)
	m.become(w, Empty, 0, n)
	if serving || coming {
		m.vacated(s, w, serving, n.Reason, n.Words)
	}
}

// vacated decides what follows when a seat was left against the plan: the
// serving seat is filled again, an empty coming seat ends the change.
func (m *Machine) vacated(s *slot, w *worker, serving bool, reason, words string) {
	if !serving {
		m.vacatedComing(s, w, reason, words)
		return
	}
	early := !m.proven(w)
	if c := m.Change; c != nil && c.Kind == reload && early && w.Generation == c.Generation {
		m.rollBack(RolledBack, fmt.Sprintf("slot %d: %s", s.Number, reason), words)
		m.replace(s, m.Generation, m.Target.Revision, early) // the release is bad: back to the one that was good
		return
	}
	m.replace(s, w.Generation, w.Revision, early)
}

func (m *Machine) vacatedComing(s *slot, w *worker, reason, words string) {
	if m.Change != nil {
		m.rollBack(RolledBack, fmt.Sprintf("slot %d: %s", s.Number, reason), words)
		return
	}
	if s.Serving != nil {
		s.Serving.Recycle = ""
		m.note(Note{Level: Warn, Text: "recycle failed, the worker stays", ID: s.Serving.ID, Generation: s.Serving.Generation, PID: s.Serving.PID, Reason: reason, Words: words})
	}
}

// proven tells whether a worker was ready for long enough.
func (m *Machine) proven(w *worker) bool {
	return w.ReadyAt > 0 && m.now-w.ReadyAt >= readyProof
}

// replace fills the serving seat after a death.
func (m *Machine) replace(s *slot, generation, revision uint64, early bool) {
	if m.Phase != running || s.Retiring {
		return
	}
	if s.Coming != nil && m.Change == nil { // its successor is already on the way
		s.Serving, s.Coming = s.Coming, nil
		return
	}
	s.Serving = m.newWorker(s, generation, revision)
	m.launchSuccessor(s, s.Serving, early)
}

// launchSuccessor spawns a worker that replaces another of its slot: at once
// when that one had proved itself, else after a back-off, and never faster
// than respawnMax in respawnWindow.
func (m *Machine) launchSuccessor(s *slot, w *worker, early bool) {
	s.Failures++
	if !early {
		s.Failures = 0
	}
	wait := max(m.backoff(s.Failures), m.breaker(s))
	s.Respawns = append(s.Respawns, m.now+wait)
	s.Restarts++
	if wait == 0 {
		m.launch(s, w)
		return
	}
	reason := fmt.Sprintf("early end number %d", s.Failures)
	if s.Failures == 0 {
		reason = fmt.Sprintf("replaced %d times within %v", respawnMax, respawnWindow)
	}
	w.State = Empty // only for the note: a seat is filled, whatever was there
	m.become(w, Waiting, wait, Note{Level: Warn, Reason: fmt.Sprintf("%s, next start in %v", reason, wait.Round(time.Millisecond))})
}

// backoff is the wait after the given number of early deaths in a row, spread
// by a quarter so that slots that died together do not come back together.
func (m *Machine) backoff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	wait := backoffMax
	if failures < 8 { // beyond, the shift is past backoffMax anyway
		wait = min(backoffBase<<(failures-1), backoffMax)
	}
	return wait - wait/4 + time.Duration(m.random(uint64(wait/2)))
}

// breaker returns how long the next replacement must wait so that respawnMax
// in respawnWindow is kept. Those that lie ahead were called off with the
// worker that waited for them.
func (m *Machine) breaker(s *slot) time.Duration {
	s.Respawns = slices.DeleteFunc(s.Respawns, func(at Time) bool {
		return at+respawnWindow <= m.now || at > m.now
	})
	if len(s.Respawns) < respawnMax {
		return 0
	}
	return s.Respawns[len(s.Respawns)-respawnMax] + respawnWindow - m.now
}

func (m *Machine) workerSaidReady(ev WorkerSaidReady) {
	s, w := m.find(ev.ID)
	if w == nil || w.State < Starting || w.State > Ready {
		return
	}
	if w.Protocol == "" && !w.Deaf {
		w.Protocol = ev.Protocol // also of one that had counted as ready because it lived
	}
	if w.State == Starting {
		m.comeUp(s, w)
	}
}

// comeUp moves a starting worker on: into Standby when a change decides about
// it, else into service.
func (m *Machine) comeUp(s *slot, w *worker) {
	switch {
	case w == s.Serving:
		m.serve(w)
	case w == s.Coming && m.Change != nil:
		t := m.targetFor(w)
		m.become(w, Standby, 2*t.StartTimeout+t.DrainTimeout, Note{}) // the others may wait for room, and start late
	case w == s.Coming:
		m.promote([]*slot{s}, m.openAccount(causeRecycle, w.Generation))
	}
}

// workerSaidLeaving fills the seat of a worker that drains of its own accord.
func (m *Machine) workerSaidLeaving(ev WorkerSaidLeaving) {
	s, w := m.find(ev.ID)
	if w == nil || w != s.Serving && w != s.Coming || w.State == Waiting {
		return
	}
	reason := "leaves of its own accord: " + ev.Reason
	serving := w == s.Serving
	m.accountFor(s, w, causeRecycle)
	m.leave(s, w, w.Account, reason)
	m.vacated(s, w, serving, reason, "")
}

func (m *Machine) workerSaidLeft(ev WorkerSaidLeft) {
	if _, w := m.find(ev.ID); w != nil {
		m.note(Note{Level: Debug, Text: "worker has left its listeners", ID: w.ID, Generation: w.Generation, PID: w.PID})
	}
}

// workerMisbehaved gets rid of a worker that can no longer be talked to, as
// gently as its state allows: who serves is recycled, who does not is aborted.
func (m *Machine) workerMisbehaved(ev WorkerMisbehaved) {
	s, w := m.find(ev.ID)
	if w == nil || w.State == Waiting {
		return
	}
	w.Protocol = "" // it can be told neither to give nor to take
	m.note(Note{Level: Error, Text: "worker broke the protocol", ID: w.ID, Generation: w.Generation, PID: w.PID, Reason: ev.Reason})
	switch w.State {
	case Ready:
		w.Recycle = "it broke the protocol"
		w.Deaf, w.Watches = true, nil
	case Starting, Standby:
		serving := w == s.Serving
		m.abort(s, w, ev.Reason)
		m.vacated(s, w, serving, ev.Reason, "")
	}
}
