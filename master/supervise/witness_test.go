package supervise

import (
	"errors"
	"fmt"
	"maps"
	"math"
)

// witness follows a machine from outside. It sees events and actions only,
// keeps its own books of processes, sockets and callers, and objects to what
// no state alone can show: the invariants about sequences. Every rung of the
// test ladder steps its machine through one.
type witness struct {
	living  map[WorkerID]told
	asked   int // slots of the last OpenSockets
	opened  int // slots that have sockets
	callers map[Caller]int
	nobody  map[Caller]bool // who left: may or may not get an answer
	stopped bool            // nobody may be spawned any more
	deaf    bool            // no address takes connections any more
	exited  bool

	revisions map[WorkerID]uint64
	forgotten map[uint64]bool
	help      help
	heirs     heirs
	books     books
}

// told is the last thing that a process was told, in the order in which things
// can be told.
type told uint8

const (
	nothing told = iota
	serve
	drain
	abort
	kill // again and again
)

func newWitness() *witness {
	return &witness{
		living: map[WorkerID]told{}, callers: map[Caller]int{}, nobody: map[Caller]bool{},
		revisions: map[WorkerID]uint64{}, forgotten: map[uint64]bool{}, help: newHelp(), heirs: newHeirs(), books: newBooks(),
	}
}

// clone is for those who try several futures from one past.
func (w *witness) clone() *witness {
	c := *w
	c.living, c.callers, c.nobody = maps.Clone(w.living), maps.Clone(w.callers), maps.Clone(w.nobody)
	c.revisions, c.forgotten = maps.Clone(w.revisions), maps.Clone(w.forgotten)
	c.help, c.heirs, c.books = w.help.clone(), w.heirs.clone(), w.books.clone()
	return &c
}

// step takes an event through the machine and returns the first objection.
func (w *witness) step(m *Machine, now Time, ev Event) ([]Action, error) {
	before := sceneOf(m)
	actions := m.Step(now, ev)
	if err := m.Check(); err != nil {
		return actions, err
	}
	w.books.hear(ev, w.living) // BEFORE hear: it forgets who lived
	w.hear(ev)
	w.help.hear(ev, w.living)
	w.heirs.hear(ev, w.living)
	for i, a := range actions {
		err := w.see(a)
		if err == nil {
			err = w.help.see(a, w)
		}
		if err == nil {
			err = w.heirs.see(a, w)
		}
		if err == nil {
			err = w.books.see(a)
		}
		if err != nil {
			return actions, fmt.Errorf("action %d, %T%+v: %w", i, a, a, err)
		}
	}
	if err := before.compare(m, ev); err != nil {
		return actions, err
	}
	if err := w.checkSockets(m); err != nil {
		return actions, err
	}
	if err := checkSurge(m); err != nil {
		return actions, err
	}
	return actions, errors.Join(checkHandOver(actions), checkHeirs(actions))
}

// checkSockets wants every slot that has sockets to be one that the machine
// knows, or nobody would ever close them.
func (w *witness) checkSockets(m *Machine) error {
	if opening := m.Change != nil && m.Change.Opening; opening || w.stopped || w.opened == len(m.Slots) {
		return nil
	}
	return fmt.Errorf("%d slots have sockets, and the machine knows of %d", w.opened, len(m.Slots))
}

// hear books an event.
func (w *witness) hear(ev Event) {
	switch ev := ev.(type) {
	case ReloadRequested:
		w.callers[ev.Caller]++
	case ScaleRequested:
		w.callers[ev.Caller]++
	case UpgradeRequested:
		w.callers[ev.Caller]++
	case ReopenRequested:
		w.callers[ev.Caller]++
	case StopRequested:
		w.callers[ev.Caller]++
	case ConfigLoaded:
		delete(w.forgotten, ev.Target.Revision)
	case CallerLeft:
		w.nobody[ev.Caller] = true
	case SocketsOpened:
		w.opened = max(w.opened, w.asked)
	case WorkerExited:
		delete(w.living, ev.ID)
	case SpawnFailed:
		delete(w.living, ev.ID)
	}
}

// see books an action and objects to what must not be.
func (w *witness) see(a Action) error {
	if w.exited {
		return fmt.Errorf("I7: it comes after Exit")
	}
	switch a := a.(type) {
	case Spawn:
		return w.seeSpawn(a)
	case Serve:
		return w.seeTold(a.ID, serve)
	case Drain:
		if w.stopped && !w.deaf {
			return fmt.Errorf("its addresses still take connections that nobody will answer")
		}
		return w.seeTold(a.ID, drain)
	case Abort:
		return w.seeTold(a.ID, abort)
	case Kill:
		return w.seeTold(a.ID, kill)
	case StopListening:
		w.deaf = true
	case ForgetRevision:
		return w.seeForget(a.Revision)
	case OpenSockets:
		w.asked = a.Slots
	case CloseSlot:
		return w.seeClose(a.Slot)
	case Answer:
		return w.seeAnswer(a.Caller)
	case Note:
		w.stopped = w.stopped || a.Text == "master is stopping"
	case Exit:
		w.exited = true
		return w.seeExit()
	}
	return nil
}

func (w *witness) seeSpawn(a Spawn) error {
	if w.stopped {
		return fmt.Errorf("I4: it comes after the stop")
	}
	if a.ID.Slot >= w.opened {
		return fmt.Errorf("its slot has no sockets: %d slots have", w.opened)
	}
	if _, lives := w.living[a.ID]; lives {
		return fmt.Errorf("I3: the incarnation lives")
	}
	if w.forgotten[a.Revision] {
		return fmt.Errorf("revision %d is forgotten", a.Revision)
	}
	w.revisions[a.ID] = a.Revision
	w.living[a.ID] = nothing
	if n := w.inSlot(a.ID.Slot); n > 2 {
		return fmt.Errorf("I1: %d processes in the slot that were not killed", n)
	}
	return nil
}

// inSlot counts the processes of a slot that were not killed.
func (w *witness) inSlot(slot int) (n int) {
	for id, last := range w.living {
		if id.Slot == slot && last != kill {
			n++
		}
	}
	return n
}

// seeTold books what a worker was told. Things come in their order, and only
// SIGKILL is worth repeating.
func (w *witness) seeTold(id WorkerID, what told) error {
	before, lives := w.living[id]
	if !lives {
		return fmt.Errorf("the worker has no process")
	}
	if what <= before && what != kill || before == drain && what == abort {
		return fmt.Errorf("the worker was already told to serve or to go")
	}
	w.living[id] = what
	return nil
}

func (w *witness) seeClose(slot int) error {
	if slot != w.opened-1 && !w.stopped {
		return fmt.Errorf("%d slots have sockets: this one is not the highest", w.opened)
	}
	w.opened = min(w.opened, slot)
	for id, last := range w.living {
		if id.Slot == slot && !(last == kill && w.stopped) {
			return fmt.Errorf("%s is still in the slot", name(id))
		}
	}
	return nil
}

// seeForget objects to a revision that somebody may still need, or that was
// forgotten before.
func (w *witness) seeForget(revision uint64) error {
	if w.forgotten[revision] {
		return fmt.Errorf("revision %d was already forgotten", revision)
	}
	w.forgotten[revision] = true
	for id := range w.living {
		if w.revisions[id] == revision {
			return fmt.Errorf("%s of revision %d still lives", name(id), revision)
		}
	}
	return nil
}

func (w *witness) seeAnswer(c Caller) error {
	if w.callers[c]--; w.callers[c] < 0 {
		return fmt.Errorf("nobody waits for it")
	}
	return nil
}

// seeExit objects to whoever is forgotten at the end.
func (w *witness) seeExit() error {
	for c, n := range w.callers {
		if c != 0 && n > 0 && !w.nobody[c] {
			return fmt.Errorf("%s still waits for %d answers", hash(c), n)
		}
	}
	for id, last := range w.living {
		if last != kill {
			return fmt.Errorf("%s still lives and was not killed", name(id))
		}
	}
	return nil
}

// checkHandOver wants everybody told to serve BEFORE a predecessor is told to
// drain: a slot is never without an owner.
func checkHandOver(actions []Action) error {
	drained := map[int]bool{}
	for _, a := range actions {
		switch a := a.(type) {
		case Drain:
			drained[a.ID.Slot] = true
		case Serve:
			if drained[a.ID.Slot] {
				return fmt.Errorf("slot %d: serve comes after the predecessor's drain", a.ID.Slot)
			}
		}
	}
	return nil
}

// scene is what the invariants about sequences need of the moment before.
type scene struct {
	phase       phase
	kind        changeKind // "": no change
	careful     bool       // all or nothing
	generation  uint64
	incarnation uint64
	serving     []*worker // who is Ready; copies of nothing, IDs never change
}

func sceneOf(m *Machine) scene {
	sc := scene{phase: m.Phase, generation: m.Generation, incarnation: m.LastIncarnation}
	if c := m.Change; c != nil { // on purpose not by asking the machine
		sc.kind, sc.careful = c.Kind, c.Kind != reload || surgeOf(c) >= c.Slots
	}
	for _, s := range m.Slots {
		if s.Serving != nil && s.Serving.State == Ready {
			sc.serving = append(sc.serving, s.Serving)
		}
	}
	return sc
}

// surgeOf is how many workers may come at once.
func surgeOf(c *change) int {
	if c.Target.SurgeCount > 0 {
		return c.Target.SurgeCount
	}
	return int(math.Ceil(float64(c.Slots) * float64(c.Target.SurgePercent) / 100))
}

// checkSurge objects when more workers come at once than may.
func checkSurge(m *Machine) error {
	c, coming := m.Change, 0
	for _, s := range m.Slots {
		if s.Coming != nil {
			coming++
		}
	}
	if c != nil && c.Kind == reload && m.Phase == running && coming > surgeOf(c) {
		return fmt.Errorf("%d workers come at once, and the surge is %d", coming, surgeOf(c))
	}
	return nil
}

// compare objects to a step back, and to a predecessor who had to go before
// the change was committed.
func (sc scene) compare(m *Machine, ev Event) error {
	if m.Generation < sc.generation || m.LastIncarnation < sc.incarnation {
		return fmt.Errorf("I3: from generation %d, incarnation %d back to %d, %d", sc.generation, sc.incarnation, m.Generation, m.LastIncarnation)
	}
	if !sc.careful || m.Phase != running || sc.phase != running || m.Generation > sc.generation {
		return nil
	}
	for _, w := range sc.serving {
		if subjectOf(ev) == w.ID || m.Wanted <= w.ID.Slot {
			continue
		}
		_, now := m.find(w.ID)
		if _, judged := ev.(HeartbeatsSampled); judged && now != nil && (now.State == Aborting || now.State == Killed) {
			continue
		}
		if now == nil || now.State != Ready {
			return fmt.Errorf("I5: %s had to go during a %s", name(w.ID), sc.kind)
		}
	}
	return nil
}

// subjectOf returns whom an event is about; nobody is no slot at all.
func subjectOf(ev Event) WorkerID {
	switch ev := ev.(type) {
	case WorkerExited:
		return ev.ID
	case WorkerSaidLeaving:
		return ev.ID
	case WorkerGaveUp:
		return ev.ID
	case SpawnFailed:
		return ev.ID
	}
	return WorkerID{Slot: -1}
}
