package supervise

import (
	"fmt"
	"time"
)

// scheduleSample has the heartbeats looked at while somebody serves.
func (m *Machine) scheduleSample() {
	switch {
	case !m.anyReady():
		m.NextSample = 0
	case m.NextSample == 0:
		m.NextSample = m.now + sampleEvery
	}
}

// heartbeatsSampled judges every worker that serves by whether its heartbeat
// moved; one in Standby need not turn its loop yet, and its time is bounded
// anyway. When the samples themselves are late, the master or the whole machine stood still
// and nobody is to blame: everybody gets a new hang-timeout.
func (m *Machine) heartbeatsSampled(ev HeartbeatsSampled) {
	paused := m.SampledAt > 0 && m.now-m.SampledAt > pausedAfter
	m.SampledAt = m.now
	for _, b := range ev.Beats {
		s, w := m.find(b.ID)
		if w == nil || w.State != Ready {
			continue
		}
		if w.BeatAt == 0 || w.Beat != b.Value || paused {
			m.beating(w, b.Value)
			continue
		}
		m.beatLate(s, w, m.now-w.BeatAt, b.Rare)
	}
	m.rebalance(ev.Beats)
}

func (m *Machine) beating(w *worker, value int64) {
	w.Beat, w.BeatAt = value, m.now
	w.Deadline = m.now + m.hangLimit(w)
	if w.Unwell {
		w.Unwell = false
		m.note(Note{Text: "worker is well again", ID: w.ID, Generation: w.Generation, PID: w.PID})
	}
}

func (m *Machine) beatLate(s *slot, w *worker, late time.Duration, rare bool) {
	limit := m.hangLimit(w)
	if late >= limit {
		reason := fmt.Sprintf("its event loop has stood still for hang-timeout %v", limit)
		if rare {
			reason = fmt.Sprintf("it has not said WATCHDOG=1 for hang-timeout %v", limit)
		}
		m.abort(s, w, reason)
		m.vacated(s, w, true, reason, "")
		return
	}
	if late >= unwellAfter && !w.Unwell && !rare {
		w.Unwell = true
		m.note(Note{Level: Warn, Text: "worker is unwell", ID: w.ID, Generation: w.Generation, PID: w.PID,
			Reason: fmt.Sprintf("no heartbeat for %v", late.Round(time.Millisecond))})
	}
}

// hangLimit is the worker's hang-timeout, but never so short that one beat a
// second, looked at once a second, could look like none.
func (m *Machine) hangLimit(w *worker) time.Duration {
	return max(m.targetFor(w).HangTimeout, unwellAfter)
}

// judgeService notices when nobody has served for degradedAfter.
func (m *Machine) judgeService() {
	if m.Phase != running || m.anyReady() || m.Change != nil && m.Change.Kind == start {
		m.UnservedSince = 0
		if m.Degraded {
			m.Degraded = false
			m.note(Note{Text: "service is no longer degraded"})
		}
		return
	}
	if m.UnservedSince == 0 {
		m.UnservedSince = m.now
	}
	if !m.Degraded && m.now-m.UnservedSince >= degradedAfter {
		m.Degraded = true
		m.note(Note{Level: Error, Text: "service is degraded",
			Reason: fmt.Sprintf("no worker has been ready for %v; connections wait in the listening sockets", degradedAfter)})
	}
}

func (m *Machine) anyReady() bool {
	for _, s := range m.Slots {
		if s.Serving != nil && s.Serving.State == Ready {
			return true
		}
	}
	return false
}
