package supervise

import (
	"fmt"
	"slices"
)

// Config is what a machine is made from.
type Config struct {
	Target Target // of the first generation
	Seed   uint64 // of the back-off's jitter
}

// phase is what the machine as a whole is about.
type phase uint8

const (
	fresh    phase = iota // before Started
	running               // workers are wanted
	drained               // sockets are held, workers are not wanted
	stopping              // everybody leaves
	gone                  // Exit was said
)

// state is everything that a machine knows. It is one value, so that Snapshot
// cannot forget a field.
type state struct {
	Phase  phase   `json:"phase"`
	Target Target  `json:"target"` // as configured for Generation
	Wanted int     `json:"wanted"` // slots; differs from Target.Slots after a scale
	Slots  []*slot `json:"slots"`  // by number; may be more than Wanted while some retire

	Generation      uint64 `json:"generation"` // the newest committed one
	LastGeneration  uint64 `json:"last_generation"`
	LastIncarnation uint64 `json:"last_incarnation"`

	Kept       []uint64 `json:"kept"` // revisions that the shell has not been told to forget
	Change     *change  `json:"change"`
	Loading    []waiter `json:"loading"`    // callers whose configuration is being read
	LoadAgain  bool     `json:"load_again"` // for nobody, once more, as soon as it was read
	NextReload *wish    `json:"next_reload"`
	NextScale  *wish    `json:"next_scale"`
	LastReload Outcome  `json:"last_reload"`

	Accounts    []*account `json:"accounts"` // that are open, the oldest first
	LastAccount uint64     `json:"last_account"`

	Stoppers []Caller `json:"stoppers"`
	ExitCode int      `json:"exit_code"`
	Failure  string   `json:"failure"` // why the first generation never served

	NextSample    Time    `json:"next_sample"` // 0: there is nobody to look at
	SampledAt     Time    `json:"sampled_at"`
	NextLook      Time    `json:"next_look"`      // at the queues; 0: nobody would be helped
	MovedAt       Time    `json:"moved_at"`       // when a look last found that something had moved
	UnservedSince Time    `json:"unserved_since"` // since when no worker is ready; 0: one is
	Degraded      bool    `json:"degraded"`
	Announced     Overall `json:"announced"`
	Random        uint64  `json:"random"`
}

// Machine decides. Its zero value is not usable; see New and Restore.
type Machine struct {
	state
	now Time
	out []Action
}

// New returns a machine that waits for Started. The error says what is wrong
// with the target.
func New(cfg Config) (*Machine, error) {
	if err := cfg.Target.Validate(); err != nil {
		return nil, err
	}
	return &Machine{state: state{
		Target: cfg.Target, Wanted: cfg.Target.Slots, Kept: []uint64{cfg.Target.Revision},
		Announced: StateStarting, Random: cfg.Seed,
	}}, nil
}

// Step takes one event and returns what to do about it, in order. A now that
// lies before an earlier one counts as that earlier one.
func (m *Machine) Step(now Time, ev Event) []Action {
	if m.Phase == gone {
		return nil
	}
	m.out = nil
	m.advance(now)
	m.handle(ev)
	m.expire()
	m.settle()
	return m.out
}

// advance moves the clock. When a deadline was missed by more than pausedAfter
// the master itself stood still: what the workers said meanwhile waits in the
// queue of events, so they get a little more time, to be heard first.
func (m *Machine) advance(now Time) {
	at, due := m.NextDeadline()
	m.now = max(m.now, now)
	if !due || m.now-at <= pausedAfter {
		return
	}
	for _, s := range m.Slots {
		for _, w := range s.workers() {
			if w.State != Waiting && w.State != Ready {
				w.Deadline = max(w.Deadline, m.now+pauseGrace)
			}
			if w.ReadyDue > 0 { // it may have died meanwhile
				w.ReadyDue = max(w.ReadyDue, m.now+pauseGrace)
			}
		}
	}
}

// handle is the table of events; what each does in each state is decided in
// the method.
func (m *Machine) handle(ev Event) {
	switch ev := ev.(type) {
	case Tick:
	case Started:
		m.started()
	case SignalReceived:
		m.signalReceived(ev)
	case ReloadRequested:
		m.reloadRequested(ev.Caller, ev.Timeout)
	case ConfigLoaded:
		m.configLoaded(ev)
	case ConfigRefused:
		m.configRefused(ev)
	case SocketsOpened:
		m.socketsOpened(ev)
	case SocketsFailed:
		m.socketsFailed(ev)
	case ScaleRequested:
		m.scaleRequested(ev)
	case RecycleRequested:
		m.recycleRequested(ev)
	case UpgradeRequested:
		m.upgradeRequested(ev.Caller)
	case ReopenRequested:
		m.reopenRequested(ev.Caller)
	case StopRequested:
		m.stopRequested(ev)
	case CallerLeft:
		m.callerLeft(ev.Caller)
	case WorkerSpawned:
		m.workerSpawned(ev)
	case SpawnFailed:
		m.spawnFailed(ev)
	case WorkerSaidReady:
		m.workerSaidReady(ev)
	case WorkerSaidLeaving:
		m.workerSaidLeaving(ev)
	case WorkerSaidLeft:
		m.workerSaidLeft(ev)
	case WorkerMisbehaved:
		m.workerMisbehaved(ev)
	case WorkerSpoke:
		m.workerSpoke(ev)
	case WorkerSaidHello:
		m.workerSaidHello(ev)
	case WorkerAskedForTime:
		m.workerAskedForTime(ev)
	case WorkerGaveUp:
		m.workerGaveUp(ev)
	case WorkerSaidListening:
		m.workerSaidListening(ev)
	case WorkerSaidWatched:
		m.workerSaidWatched(ev)
	case WorkerExited:
		m.workerExited(ev)
	case HeartbeatsSampled:
		m.heartbeatsSampled(ev)
	case QueuesSampled:
		m.queuesSampled(ev)
	case SocketsMended:
		m.socketsMended(ev)
	case SlotEmptied:
		m.slotEmptied(ev)
	default:
		// The set of events is closed by an unexported method, so this is a
		// case that somebody forgot to write, and every test will say so.
		panic(fmt.Sprintf("supervise: no case for event %T", ev))
	}
}

// settle draws the conclusions that follow from the new state, whatever the
// event was.
func (m *Machine) settle() {
	m.launchCrowded()
	m.progress()
	m.beginNext()
	m.recycleWanted()
	m.closeSlots()
	m.closeAccounts() // AFTER closeSlots: a slot's end may be the last that they wait for
	m.arrangeHelp()   // AFTER closeSlots: nobody watches what is not there
	m.arrangeHeirs()
	m.forgetRevisions()
	m.judgeService()
	m.scheduleSample()
	m.scheduleLook()
	m.announce()
	m.finishStop() // the last: nothing comes after Exit
}

// NextDeadline returns when the shell must send Tick at the latest; ok is
// false when nothing is due, ever.
func (m *Machine) NextDeadline() (at Time, ok bool) {
	if m.Phase == gone {
		return 0, false
	}
	earliest := func(t Time) {
		if t > 0 && (!ok || t < at) {
			at, ok = t, true
		}
	}
	for _, s := range m.Slots {
		for _, w := range s.workers() {
			if w.State != Ready { // a hang is judged by samples, not by the clock alone
				earliest(w.Deadline)
			}
			earliest(w.ReadyDue)
		}
	}
	for _, list := range m.waiting() {
		for _, c := range *list {
			earliest(c.Deadline)
		}
	}
	for _, a := range m.Accounts {
		earliest(a.AnswerBy)
	}
	earliest(m.NextSample)
	earliest(m.NextLook)
	if m.UnservedSince > 0 && !m.Degraded {
		earliest(m.UnservedSince + degradedAfter)
	}
	return at, ok
}

// expire acts on every deadline that has passed. Who has come to be ready does so
// BEFORE anybody's time is over: nobody is told to serve after others of the slot
// were told to drain.
func (m *Machine) expire() {
	for _, s := range m.Slots {
		for _, w := range s.workers() {
			if w.ReadyDue > 0 && w.ReadyDue <= m.now {
				m.comeUp(s, w)
			}
		}
	}
	for _, s := range m.Slots {
		for _, w := range s.workers() {
			if w.Deadline > 0 && w.Deadline <= m.now && w.State != Ready {
				m.workerOverdue(s, w)
			}
		}
	}
	m.expireCallers()
	if m.NextSample > 0 && m.NextSample <= m.now {
		m.NextSample = m.now + sampleEvery
		m.do(Sample{})
	}
	if m.NextLook > 0 && m.NextLook <= m.now {
		m.NextLook = m.now + m.lookEvery()
		m.do(LookAtQueues{})
	}
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

// find returns the worker and its slot, or nils for an incarnation that is no
// longer there: the facts that still arrive from it are void.
func (m *Machine) find(id WorkerID) (*slot, *worker) {
	if id.Slot < 0 || id.Slot >= len(m.Slots) {
		return nil, nil
	}
	s := m.Slots[id.Slot]
	for _, w := range s.workers() {
		if w.ID == id {
			return s, w
		}
	}
	return nil, nil
}

// started begins the first generation.
func (m *Machine) started() {
	if m.Phase != fresh {
		return
	}
	m.Phase = running
	m.begin(&change{Kind: start, Target: m.Target, Slots: m.Wanted})
}

// keep books a configuration that the shell keeps.
func (m *Machine) keep(revision uint64) {
	if !slices.Contains(m.Kept, revision) {
		m.Kept = append(m.Kept, revision)
	}
}

// forgetRevisions lets the shell forget the configurations that neither a worker
// nor a change refers to.
func (m *Machine) forgetRevisions() {
	needed := m.revisions()
	m.Kept = slices.DeleteFunc(m.Kept, func(revision uint64) bool {
		if slices.Contains(needed, revision) {
			return false
		}
		m.do(ForgetRevision{Revision: revision})
		return true
	})
}

// revisions lists the configurations that may still be needed.
func (m *Machine) revisions() []uint64 {
	list := []uint64{m.Target.Revision}
	if m.Change != nil {
		list = append(list, m.Change.Target.Revision)
	}
	if m.NextReload != nil {
		list = append(list, m.NextReload.Target.Revision)
	}
	for _, s := range m.Slots {
		for _, w := range s.workers() {
			list = append(list, w.Revision)
		}
	}
	return list
}

// random returns a number in [0, n): splitmix64, seeded by Config.
func (m *Machine) random(n uint64) uint64 {
	m.Random += 0x9e3779b97f4a7c15
	z := m.Random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return (z ^ z>>31) % n
}
