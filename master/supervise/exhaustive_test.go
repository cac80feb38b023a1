package supervise

import (
	"slices"
	"sync/atomic"
	"testing"
)

// TestExhaustive tries every sequence of a small alphabet on a machine of two
// slots, to the depth that takes a few seconds. What cannot happen in a state
// (nobody starts, so nobody can say ready) is left out, and so is what changes
// nothing: after it comes what would have come without it.
func TestExhaustive(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		target string // as for the story command machine
		before string
		depth  int
	}{
		{"from the start", "slots=2", "", 7},
		{"all or nothing", "slots=2", "everybody ready\nwait 5s", 6},
		{"rolling", "slots=2 surge=1", "everybody ready\nwait 5s", 6},
		{"helping", "slots=3 own=yes helpers=1", "everybody ready\nwait 5s\nhelping slow", 5},
		{"handing over", "slots=3 own=yes", "speaking http/1\neverybody ready\nwait 5s", 5},
		{"saying hello", "slots=2 ready=1s helpers=1", "helping slow", 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			depth := tc.depth
			if testing.Short() || raceEnabled {
				depth -= 2
			}
			s := mustPlay(t, "machine "+tc.target+"\nstarted\n"+tc.before)
			x := &explorer{t: t, target: s.disk}
			x.explore(node{m: s.m, w: s.witness, now: s.now}, depth)
			t.Logf("%d sequences to depth %d", x.sequences.Load(), depth)
		})
	}
}

type explorer struct {
	t         *testing.T
	target    Target
	sequences atomic.Int64
}

// node is one past: a machine, its witness, and how they came here.
type node struct {
	m     *Machine
	w     *witness
	now   Time
	facts []fact
}

// letter makes the next facts out of a state; none when it cannot happen there.
type letter func(n *node) []Event

func (x *explorer) explore(n node, depth int) {
	x.sequences.Add(1)
	if depth == 0 || x.t.Failed() {
		return
	}
	for _, l := range alphabet {
		next := node{m: n.m, w: n.w, now: n.now, facts: n.facts}
		events := l(&next)
		if events == nil {
			continue
		}
		next.m, next.w = cloneMachine(n.m), n.w.clone()
		if x.take(&next, events) {
			x.explore(next, depth-1)
		}
	}
}

// take has the events happen and tells whether they made a difference.
func (x *explorer) take(n *node, events []Event) bool {
	done := 0
	for _, ev := range events {
		n.facts = append(n.facts[:len(n.facts):len(n.facts)], fact{n.now, ev})
		actions, err := n.w.step(n.m, n.now, ev)
		if err != nil {
			tr := trail{target: x.target, seed: 1, facts: n.facts}
			x.t.Errorf("%v\n%s", err, tr.script())
			return false
		}
		done += len(actions)
		switch ev.(type) {
		case WorkerSaidHello, WorkerSaidListening, WorkerSaidWatched: // remembered, which is a difference
			done++
		}
	}
	return done > 0 && !n.w.exited
}

var alphabet = []letter{
	func(n *node) []Event { // the next deadline passes
		at, ok := n.m.NextDeadline()
		if !ok {
			return nil
		}
		n.now = max(n.now, at)
		return []Event{Tick{}}
	},
	func(n *node) []Event { // sockets open
		if c := n.m.Change; c != nil && c.Opening {
			return []Event{SocketsOpened{Generation: c.Generation}}
		}
		return nil
	},
	func(n *node) []Event { // or they do not
		if c := n.m.Change; c != nil && c.Opening {
			return []Event{SocketsFailed{Generation: c.Generation, Reason: "taken"}}
		}
		return nil
	},
	func(n *node) []Event { // the first who starts is ready
		return about(n.first(Starting), n.ready)
	},
	func(n *node) []Event { // the last who starts is ready
		return about(n.last(Starting), n.ready)
	},
	func(n *node) []Event { // the last who starts cannot be spawned
		return about(n.last(Starting), func(id WorkerID) Event { return SpawnFailed{ID: id, Temporary: true, Reason: "no memory"} })
	},
	func(n *node) []Event { // the first who comes dies
		return about(n.first(Standby), func(id WorkerID) Event { return WorkerExited{ID: id, Reason: "exit code 1"} })
	},
	func(n *node) []Event { // the first who serves dies
		return about(n.first(Ready), func(id WorkerID) Event { return WorkerExited{ID: id, Reason: "exit code 1"} })
	},
	func(n *node) []Event { // the last who serves leaves
		return about(n.last(Ready), func(id WorkerID) Event { return WorkerSaidLeaving{ID: id, Reason: "SIGTERM"} })
	},
	func(n *node) []Event { // the first who drains has gone
		return about(n.first(Draining), func(id WorkerID) Event { return WorkerExited{ID: id, Reason: "exit code 0", Clean: true} })
	},
	func(n *node) []Event { // somebody reloads
		if n.m.NextReload != nil {
			return nil
		}
		target := n.m.Target
		target.Revision++
		return []Event{ReloadRequested{Caller: 1, Timeout: defaultTarget.StartTimeout / 2}, ConfigLoaded{Caller: 1, Target: target}}
	},
	func(n *node) []Event { // somebody wants the other number of slots
		if n.m.NextScale != nil {
			return nil
		}
		return []Event{ScaleRequested{Caller: 2, Workers: 3 - n.m.expectedSlots()%3}}
	},
	func(n *node) []Event { // somebody wants the last one to be recycled
		return about(n.last(Ready), func(id WorkerID) Event { return RecycleRequested{ID: id, Reason: "old"} })
	},
	func(n *node) []Event { // the first of any program says hello
		for _, s := range n.m.Slots {
			for _, w := range s.workers() {
				if !w.Own && n.m.Target.Helpers > 0 && w.State >= Starting && w.State <= Ready {
					return []Event{WorkerSaidHello{ID: w.ID}}
				}
			}
		}
		return nil
	},
	func(n *node) []Event { // the first who serves and does not listen does
		for _, s := range n.m.Slots {
			if w := s.Serving; w != nil && w.State == Ready && !w.Listens && w.Own {
				return []Event{WorkerSaidListening{ID: w.ID}}
			}
		}
		return nil
	},
	func(n *node) []Event { // the first who was asked to watch or to let go answers
		for _, s := range n.m.Slots {
			for _, w := range s.workers() {
				if i := slices.IndexFunc(w.Watches, func(had watch) bool { return had.Asked }); i >= 0 {
					return []Event{WorkerSaidWatched{ID: w.ID, Slot: w.Watches[i].Slot}}
				}
			}
		}
		return nil
	},
	func(n *node) []Event { // the first slot of those that nobody is in is empty
		for _, s := range n.m.Slots {
			if s.EmptyBy != 0 && !s.Emptied {
				return []Event{SlotEmptied{Slot: s.Number, Deadline: s.EmptyBy}}
			}
		}
		return nil
	},
	func(n *node) []Event { // the last slot's sockets were shut down and mended
		if !n.m.Target.Own {
			return nil
		}
		return []Event{SocketsMended{Slot: len(n.m.Slots) - 1}}
	},
	func(n *node) []Event { return []Event{SignalReceived{Signal: SIGWINCH}} },
	func(n *node) []Event { return []Event{StopRequested{Caller: 3}} },
}

// ready is the word of a worker whose connections others can go on with, if it is one of
// our own.
func (n *node) ready(id WorkerID) Event {
	ev := WorkerSaidReady{ID: id}
	if n.m.Target.Own {
		ev.Protocol = "http/1"
	}
	return ev
}

// first and last find a worker by its state, in the order of slots.
func (n *node) first(state State) *worker {
	for _, s := range n.m.Slots {
		for _, w := range s.workers() {
			if w.State == state {
				return w
			}
		}
	}
	return nil
}

func (n *node) last(state State) (found *worker) {
	for _, s := range n.m.Slots {
		for _, w := range s.workers() {
			if w.State == state {
				found = w
			}
		}
	}
	return found
}

func about(w *worker, fact func(WorkerID) Event) []Event {
	if w == nil {
		return nil
	}
	return []Event{fact(w.ID)}
}

// cloneMachine is a machine with the same past and a future of its own.
// TestCloneMachine proves that nothing is shared.
func cloneMachine(m *Machine) *Machine {
	c := *m
	c.out = nil
	c.Slots = slices.Clone(m.Slots)
	for i, s := range m.Slots {
		copied := *s
		copied.Serving, copied.Coming = cloneWorker(s.Serving), cloneWorker(s.Coming)
		copied.Leaving = slices.Clone(s.Leaving)
		for j, w := range s.Leaving {
			copied.Leaving[j] = cloneWorker(w)
		}
		copied.Respawns = slices.Clone(s.Respawns)
		c.Slots[i] = &copied
	}
	c.Loading = slices.Clone(m.Loading)
	c.Stoppers, c.Kept = slices.Clone(m.Stoppers), slices.Clone(m.Kept)
	if m.Change != nil {
		change := *m.Change
		change.Callers = slices.Clone(change.Callers)
		c.Change = &change
	}
	c.Accounts = slices.Clone(m.Accounts)
	for i, a := range m.Accounts {
		copied := *a
		copied.Callers = slices.Clone(a.Callers)
		c.Accounts[i] = &copied
	}
	c.NextReload, c.NextScale = cloneWish(m.NextReload), cloneWish(m.NextScale)
	return &c
}

func cloneWorker(w *worker) *worker {
	if w == nil {
		return nil
	}
	copied := *w
	copied.Watches, copied.Heirs = slices.Clone(w.Watches), slices.Clone(w.Heirs)
	return &copied
}

func cloneWish(w *wish) *wish {
	if w == nil {
		return nil
	}
	copied := *w
	copied.Callers = slices.Clone(w.Callers)
	return &copied
}
