package master

import (
	"context"
	"os"
	"slices"
	"time"

	"prefork/ipc"
	"prefork/master/control"
	"prefork/master/supervise"
)

// Status answers GET /v1/status. What the loop owns is copied by the loop;
// what /proc knows is read afterwards, outside of it.
func (m *master) Status(ctx context.Context) (control.Status, error) {
	var st control.Status
	if err := m.ask(ctx, func() { st = m.status() }); err != nil {
		return control.Status{}, err
	}
	for i := range st.Workers {
		if w := &st.Workers[i]; w.PID != 0 {
			w.RSSBytes, w.CPUSeconds = usage(w.PID)
		}
	}
	return st, nil
}

// Subscribe answers GET /v1/events.
func (m *master) Subscribe(since time.Duration) control.Subscription {
	return m.journal.hub.Subscribe(since)
}

// ask lets the loop run a question and waits for it.
func (m *master) ask(ctx context.Context, question func()) error {
	done := make(chan struct{})
	select {
	case m.loop.tasks <- func() { question(); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-m.ended:
		return os.ErrClosed
	}
	<-done // the loop has taken it and does not stop in the middle
	return nil
}

func (m *master) machineStatus() supervise.Status {
	return m.loop.machine.Status(supervise.Time(ipc.Monotonic()))
}

// status is the answer but for the figures of /proc.
func (m *master) status() control.Status {
	ms := m.machineStatus()
	st := control.Status{
		Name: m.opts.Config.Name, PID: os.Getpid(), Version: m.opts.Version,
		State: string(ms.State), Generation: ms.Generation,
		UptimeSeconds: time.Since(m.began).Seconds(),
		Steering:      steering(m.sockets.steered()), Helpers: m.helpers(ms.Slots),
		Listen:  m.sockets.status(),
		Workers: []control.WorkerStatus{},
		LastReload: control.ReloadStatus{
			Result: string(ms.LastReload.Result), Seconds: ms.LastReload.Took.Seconds(), Error: ms.LastReload.Reason,
		},
	}
	st.LastChange, st.LastReload.Change = m.lastReports(ms.Accounts)
	for _, w := range ms.Workers {
		st.Workers = append(st.Workers, m.workerStatus(w))
	}
	return st
}

func (m *master) workerStatus(w supervise.WorkerStatus) control.WorkerStatus {
	ws := control.WorkerStatus{
		Slot: w.ID.Slot, Incarnation: w.ID.Incarnation, Generation: w.Generation, PID: w.PID,
		State: stateWord(w), Steered: w.State == supervise.Ready,
		AcceptQueue: m.sockets.waiting(w.Revision, w.ID.Slot),
		AgeSeconds:  w.Age.Seconds(), Restarts: w.Restarts, RetryInSeconds: w.RetryIn.Seconds(),
	}
	m.with(w.ID, func(c *child) {
		n := c.talk.counters()
		ws.Connections, ws.Accepted, ws.Helped, ws.Requests = n.Connections, n.Accepted, n.Helped, n.Requests
		ws.Status = c.talk.said()
	})
	return ws
}

// helpers is how many siblings watch each slot: no more than there are, and none
// where every address is one socket for all.
func (m *master) helpers(slots int) int {
	revision := m.sockets.newest()
	if !slices.ContainsFunc(m.sockets.groupsOf(revision), func(g *group) bool { return !g.Shared() }) {
		return 0
	}
	cfg := m.configs[revision]
	helpers := cfg.HelpersInForce()
	if m.greets[commandKey(cfg)] {
		helpers = cfg.HelpersOfOurs()
	}
	return max(0, min(helpers, slots-1))
}

// steering is who chooses the socket of a new connection: a classic BPF program of
// ours, or the kernel.
func steering(steered bool) string {
	if steered {
		return "cbpf"
	}
	return "off"
}

// stateWord is the state as the status document spells it.
func stateWord(w supervise.WorkerStatus) string {
	switch {
	case w.State == supervise.Ready && w.Unwell:
		return "unwell"
	case w.State == supervise.Killed: // it is on its way out, as one that aborts
		return supervise.Aborting.String()
	}
	return w.State.String()
}
