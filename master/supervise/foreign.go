package supervise

// What only programs say that are not known to speak the master's own protocol: they
// talk by sd_notify(3), or not at all, or turn out to speak it.

// extensionsMax bounds what a worker may ask for: so many times the timeout of
// its state, from its beginning. A program that asks for ever would otherwise
// keep a reload or a stop from ever ending.
const extensionsMax = 10

// workerSpoke waits for the word of a worker that turned out to know how to give
// it, however long it lives without.
func (m *Machine) workerSpoke(ev WorkerSpoke) {
	if _, w := m.find(ev.ID); w != nil && w.State == Starting {
		w.ReadyDue = 0
	}
}

// workerSaidHello makes a worker one of our own that was not expected to be one.
// Its word is waited for, and it may be told to watch. One that says it late, when
// it had counted as ready because it lived, is from then on.
func (m *Machine) workerSaidHello(ev WorkerSaidHello) {
	if _, w := m.find(ev.ID); w != nil && w.State >= Starting && w.State <= Ready {
		w.Own, w.ReadyDue = true, 0
	}
}

// workerAskedForTime moves the deadline of a worker that starts or drains. Those
// who stand by for it have to wait as much longer.
func (m *Machine) workerAskedForTime(ev WorkerAskedForTime) {
	_, w := m.find(ev.ID)
	if w == nil || w.State != Starting && w.State != Draining {
		return
	}
	t := m.targetFor(w)
	limit := t.StartTimeout
	if w.State == Draining {
		limit = t.DrainTimeout
	}
	at := min(m.now+min(ev.For, TimeoutMax), w.Since+extensionsMax*limit)
	if at <= w.Deadline {
		return
	}
	w.Deadline = at
	if w.State == Draining {
		return
	}
	for _, s := range m.Slots {
		if c := s.Coming; c != nil && c.State == Standby {
			c.Deadline = max(c.Deadline, at+t.DrainTimeout)
		}
	}
}

// workerGaveUp treats a worker that says that it is broken as one that hangs.
func (m *Machine) workerGaveUp(ev WorkerGaveUp) {
	s, w := m.find(ev.ID)
	if w == nil || w.State != Starting && w.State != Standby && w.State != Ready {
		return
	}
	serving := w == s.Serving
	m.abort(s, w, ev.Reason)
	m.vacated(s, w, serving, ev.Reason, "")
}
