package supervise

import "fmt"

// signalReceived is the signals table.
func (m *Machine) signalReceived(ev SignalReceived) {
	switch ev.Signal {
	case SIGHUP:
		if ev.Terminal == TerminalGone {
			m.note(Note{Level: Warn, Text: "the terminal was closed"})
			m.stopRequested(StopRequested{})
			return
		}
		m.reloadRequested(0, 0)
	case SIGUSR1:
		m.reopenRequested(0)
	case SIGUSR2:
		m.upgradeRequested(0)
	case SIGTTIN:
		m.stepScale(+1)
	case SIGTTOU:
		m.stepScale(-1)
	case SIGTERM, SIGQUIT:
		m.stopRequested(StopRequested{})
	case SIGINT:
		m.stopRequested(StopRequested{Now: ev.Terminal == TerminalNone || m.Phase == stopping})
	case SIGWINCH:
		m.winch(ev.Terminal)
	case SIGCHLD:
		m.ringBell()
	}
}

// stepScale is TTIN and TTOU. In drained TTIN means: bring them back.
func (m *Machine) stepScale(delta int) {
	if m.Phase == drained {
		if delta < 0 {
			m.refuse(0, Refused, "scale", "all workers are drained: HUP or TTIN brings them back")
			return
		}
		delta = 0
	}
	m.scaleRequested(ScaleRequested{Relative: true, Delta: delta})
}

// winch drains all workers and keeps the master. With a terminal it is only
// the word of a window that was resized.
func (m *Machine) winch(t Terminal) {
	if t != TerminalNone || m.Phase != running && m.Phase != drained {
		return
	}
	if change := m.busyWith(); change != "" {
		m.refuse(0, Busy, "drain of all workers", "busy with a "+change)
		return
	}
	if m.Phase == drained {
		return
	}
	m.Phase = drained
	m.note(Note{Text: "all workers drain, the sockets stay open", Reason: "HUP or TTIN brings the workers back"})
	m.allLeave("WINCH", m.openAccount(causeDrain, m.Generation))
}

// allLeave drains everybody on an account, the newcomers first: they hold no
// connections yet.
func (m *Machine) allLeave(reason string, account uint64) {
	for _, s := range m.Slots {
		if s.Coming != nil {
			m.leave(s, s.Coming, account, reason)
		}
	}
	for _, s := range m.Slots {
		if s.Serving != nil {
			m.leave(s, s.Serving, account, reason)
		}
	}
}

func (m *Machine) stopRequested(ev StopRequested) {
	if ev.Caller != 0 {
		m.Stoppers = append(m.Stoppers, ev.Caller)
	}
	if m.Phase != stopping {
		m.beginStop(0)
	}
	if ev.Now {
		m.killAll()
	}
}

// beginStop lets everybody leave and answers whoever waits for something else.
func (m *Machine) beginStop(code int) {
	m.Phase, m.ExitCode = stopping, code
	m.note(Note{Text: "master is stopping"})
	const reason = "the master is stopping"
	for _, list := range m.waiting() {
		for _, w := range *list {
			m.answer(w.Caller, Failed, reason)
		}
	}
	if m.Change != nil {
		m.settleChange(m.Change, Failed)
	}
	m.Loading, m.Change, m.NextReload, m.NextScale = nil, nil, nil, nil
	m.LoadAgain = false
	m.do(StopListening{})
	var account uint64
	if m.Generation > 0 { // else nobody has ever served
		account = m.openAccount(causeStop, m.Generation)
	}
	m.allLeave(reason, account)
}

func (m *Machine) killAll() {
	for _, s := range m.Slots {
		for _, w := range s.Leaving {
			if w.State != Killed {
				m.kill(w, "the master stops at once")
			}
		}
	}
}

// finishStop says Exit when everybody has gone, or when those who have not got
// SIGKILL killTimeout ago: what the kernel does not let go cannot be waited for.
func (m *Machine) finishStop() {
	if m.Phase != stopping {
		return
	}
	stuck := 0
	for _, s := range m.Slots {
		for _, w := range s.Leaving {
			if w.State != Killed || !w.Stuck {
				return
			}
			stuck++
		}
	}
	if stuck > 0 {
		m.ExitCode = max(m.ExitCode, 1)
		m.note(Note{Level: Error, Text: "master leaves workers behind", Reason: fmt.Sprintf("%d do not die of SIGKILL", stuck)})
	}
	for n := len(m.Slots) - 1; n >= 0; n-- {
		m.do(CloseSlot{Slot: n})
	}
	m.Slots = nil
	m.closeAllAccounts()
	for _, c := range m.Stoppers {
		m.answer(c, Done, "")
	}
	m.Phase = gone
	m.do(Exit{Code: m.ExitCode, Reason: m.Failure})
}
