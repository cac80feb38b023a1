package master

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"prefork/master/config"
	"prefork/master/listen"
	"prefork/master/process"
	"prefork/master/supervise"
)

// perform does one action: a small method each. It never blocks.
func (m *master) perform(a supervise.Action) []supervise.Event {
	switch a := a.(type) {
	case supervise.Spawn:
		return m.spawn(a)
	case supervise.Serve:
		return m.serve(a)
	case supervise.HandOver:
		m.handOver(a)
	case supervise.Drain:
		m.settleSockets() // BEFORE anybody leaves, and once for all that were told to serve
		m.drain(a)
	case supervise.Abort:
		m.with(a.ID, func(c *child) { c.signal(unix.SIGABRT) })
	case supervise.Kill:
		m.with(a.ID, (*child).kill)
	case supervise.Sample:
		return m.sample()
	case supervise.Watch:
		return m.watch(a)
	case supervise.Unwatch:
		return m.unwatch(a)
	case supervise.RingBell:
		m.bell.Ring()
	case supervise.LookAtQueues:
		return m.lookAtQueues()
	case supervise.EmptySlot:
		m.emptySlot(a)
	case supervise.LoadConfig:
		return m.loadConfig(a)
	case supervise.OpenSockets:
		return m.openSlots(a)
	case supervise.CloseSlot:
		m.blame(m.sockets.shrink(a.Slot))
	case supervise.AbandonSockets:
		m.blame(m.sockets.abandon(a.Revision))
	case supervise.StopListening:
		m.blame(m.sockets.refuseAll())
	case supervise.ForgetRevision:
		delete(m.configs, a.Revision)
		delete(m.tickets, a.Revision)
		m.blame(m.sockets.forget(a.Revision))
	case supervise.ReopenLogs:
		if m.opts.Reopen != nil {
			m.reopening.Store(m.opts.Reopen())
		}
	case supervise.Answer:
		m.callers.answer(a, m.machineStatus(), m.report(a.Account))
	case supervise.OpenAccount:
		m.openAccount(a)
	case supervise.CloseAccount:
		m.closeAccount(a.Account)
	case supervise.Note:
		m.journal.note(a)
	case supervise.Announce:
		m.announce(a)
	case supervise.Exit: // the loop's
	default:
		panic(fmt.Sprintf("master: no method for action %T", a)) // the set is closed; every test would say so
	}
	return nil
}

// with calls f with the child, when it is still there.
func (m *master) with(id supervise.WorkerID, f func(*child)) {
	if c := m.children[id]; c != nil {
		f(c)
	}
}

// spawn starts a worker. Fork and exec take about a millisecond; everything
// that takes longer happens in the child.
func (m *master) spawn(a supervise.Spawn) []supervise.Event {
	c, err := m.startChild(a)
	if err != nil {
		return []supervise.Event{supervise.SpawnFailed{ID: a.ID, Temporary: process.Temporary(err), Reason: withAdvice(err)}}
	}
	m.children[a.ID] = c
	c.watch(m.goroutines.Go)
	return []supervise.Event{supervise.WorkerSpawned{ID: a.ID, PID: c.process.PID()}}
}

// withAdvice says what to do about a start that failed, where that is known.
func withAdvice(err error) string {
	if errors.Is(err, unix.EMFILE) {
		return err.Error() + ": the master needs some for each worker; raise the limit (ulimit -n, in a systemd unit LimitNOFILE=)"
	}
	return err.Error()
}

func (m *master) startChild(a supervise.Spawn) (*child, error) {
	cfg, ok := m.configs[a.Revision]
	if !ok {
		return nil, fmt.Errorf("start worker: configuration %d is not kept any more", a.Revision)
	}
	talk, err := m.newTalk(a, cfg)
	if err != nil {
		return nil, err
	}
	spec := process.Spec{
		Program: m.programOf(cfg), Env: environment(m.environ, cfg.Environment), Listeners: m.sockets.of(a.Revision, a.ID.Slot),
		Slot: a.ID.Slot, Generation: a.Generation,
	}
	if cfg.SiblingFDs {
		spec.Siblings = m.sockets.ring(a.Revision, a.ID.Slot, cfg.HelpersInForce(), m.loop.machine.Staying())
	}
	talk.furnish(&spec)
	// Who shares its sockets with siblings must find one empty without waiting.
	blocking := len(cfg.Command) > 0 && !cfg.SiblingFDs && !m.greets[commandKey(cfg)]
	if err := m.prepareListeners(a.ID, spec.Listeners, blocking); err != nil {
		talk.release()
		return nil, err
	}
	for _, fd := range spec.Siblings { // whose own worker may start later
		if err := listen.SetBlocking(fd, false); err != nil {
			talk.release()
			return nil, err
		}
	}
	p, err := process.Start(spec)
	if err != nil {
		talk.release()
		return nil, err
	}
	c := &child{
		id: a.ID, generation: a.Generation, revision: a.Revision, process: p, talk: talk,
		post: m.post, print: m.journal.output, outputs: &m.outputs,
		errsDone: make(chan struct{}), heard: make(chan struct{}), exited: make(chan struct{}), killed: make(chan struct{}),
	}
	talk.started(c)
	return c, nil
}

// programOf is what a worker of the configuration runs.
func (m *master) programOf(cfg config.Config) []string {
	if len(cfg.Command) > 0 {
		return cfg.Command
	}
	return m.builtin
}

func (m *master) newTalk(s supervise.Spawn, cfg config.Config) (talk, error) {
	o, err := newOurs(settingsFor(cfg, m.tickets[s.Revision]), m.bell)
	if err != nil {
		return nil, err
	}
	if len(cfg.Command) == 0 {
		return o, nil
	}
	// Somebody who tidies up may have removed the folder since the start. When it
	// cannot be made, the socket cannot either, and says why.
	_ = os.Mkdir(m.notifyFolder(), notifyFolderMode)
	f, err := newForeign(m.notifyPath(s.ID), cfg, m.journal.complaint)
	if err != nil {
		o.release()
		return nil, err
	}
	return newCommand(f, o), nil
}

func (m *master) serve(a supervise.Serve) (out []supervise.Event) {
	m.sockets.serve(a.Revision, a.ID.Slot)
	m.with(a.ID, func(c *child) {
		out = misbehaved(a.ID, c.talk.serve())
	})
	return out
}

// misbehaved is the event for a worker that could not be told something.
func misbehaved(id supervise.WorkerID, err error) []supervise.Event {
	if err == nil {
		return nil
	}
	return []supervise.Event{supervise.WorkerMisbehaved{ID: id, Reason: err.Error()}}
}

// sample feels every pulse. A heart that was spoilt is reported once.
func (m *master) sample() []supervise.Event {
	var beats []supervise.Beat
	m.inspect()
	out := m.watchPostponed()
	for id, c := range m.children {
		beat, alive, err := c.talk.beat()
		switch {
		case err != nil:
			out = append(out, supervise.WorkerMisbehaved{ID: id, Reason: err.Error()})
		case alive:
			beats = append(beats, beat)
		}
	}
	return append(out, supervise.HeartbeatsSampled{Beats: beats})
}

// loadConfig resolves the configuration again and keeps it as a new revision. The
// level of the log is the master's own, and needs no new workers.
func (m *master) loadConfig(a supervise.LoadConfig) []supervise.Event {
	cfg, err := m.opts.Load()
	if err == nil {
		err = config.RefuseChange(m.opts.Config, cfg)
	}
	if err == nil {
		cfg, err = resolve(cfg)
	}
	if err != nil {
		return []supervise.Event{supervise.ConfigRefused{Caller: a.Caller, Reason: err.Error()}}
	}
	m.journal.setLevel(cfg.LogLevel)
	m.newer.Store(false)
	if len(cfg.Command) == 0 {
		m.tellNewer()
	}
	return []supervise.Event{supervise.ConfigLoaded{Caller: a.Caller, Target: m.keepConfig(cfg)}}
}

func (m *master) openSlots(a supervise.OpenSockets) []supervise.Event {
	if err := m.sockets.grow(a.Revision, m.configs[a.Revision], a.Slots); err != nil {
		return []supervise.Event{supervise.SocketsFailed{Generation: a.Generation, Reason: err.Error()}}
	}
	return []supervise.Event{supervise.SocketsOpened{Generation: a.Generation}}
}

// settleSockets makes the kernel agree with who serves. What cannot be done is
// said once and tried again with every event.
func (m *master) settleSockets() {
	m.sockets.retire(m.loop.machine.Staying())
	err, before := m.sockets.apply(), m.trouble
	if m.trouble = ""; err != nil {
		m.trouble = err.Error()
	}
	if m.trouble != before {
		m.blame(err)
	}
}

// blame says what went wrong with sockets where nobody waits for an answer.
func (m *master) blame(err error) {
	if err != nil {
		m.journal.note(supervise.Note{Level: supervise.Error, Text: "listening sockets are not as they should be", Reason: err.Error()})
	}
}

func (m *master) announce(a supervise.Announce) {
	m.journal.state(a.State)
	if a.State == supervise.StateServing && !m.bannerShown {
		m.bannerShown = true
		if m.opts.Banner != nil {
			m.opts.Banner(m.serving())
		}
	}
}

// handled comes when the machine has dealt with an event.
func (m *master) handled(ev supervise.Event) []supervise.Event {
	m.settleSockets()
	switch ev := ev.(type) {
	case supervise.WorkerSaidReady:
		m.with(ev.ID, func(c *child) { m.speaks[commandKey(m.configs[c.revision])] = true })
	case supervise.WorkerSaidHello:
		m.with(ev.ID, func(c *child) { m.greets[commandKey(m.configs[c.revision])] = true })
	case supervise.WorkerExited:
		m.with(ev.ID, m.bury)
	}
	found := m.found
	m.found = nil
	return found
}

// bury forgets a child that has ended.
func (m *master) bury(c *child) {
	if c.leftovers {
		m.journal.note(supervise.Note{
			Level: supervise.Warn, Text: "processes that the worker had started are killed", ID: c.id,
			Generation: c.generation, PID: c.process.PID(), Reason: "they have outlived it, and nobody would supervise them",
		})
	}
	for _, l := range m.sockets.of(c.revision, c.id.Slot) { // some shut them down as their last deed
		if err := m.relisten(c.id.Slot, l.FD); err != nil {
			m.blame(err)
		}
	}
	m.reports.gone(c.talk.counters())
	c.close()
	delete(m.children, c.id)
}
