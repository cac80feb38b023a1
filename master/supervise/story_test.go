package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A story is a file of testdata: what happens stands at the beginning of a
// line, what the machine does about it is indented below. Lines that begin
// with # tell the reader what to look for.
//
//	go test -run TestStories -update     writes the indented lines anew
//
// Between the lines a healthy world answers at once: spawns succeed, sockets
// open, the configuration on disk is read, heartbeats are sampled. The
// commands below change that; after "manual" nothing is answered, and the
// script says every event and its time itself.
func TestStories(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, path := range paths {
		file := filepath.Base(path)
		t.Run(strings.TrimSuffix(file, ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			told, err := tell(string(b))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, file, told)
		})
	}
}

// command is a line of a story that is no event.
type command struct {
	name  string
	usage string
	run   func(s *story, args []string)
}

var commands []command

func init() { // not a literal: usage refers to it
	commands = []command{
		{"machine", "key=value...: a new machine; slots=2 surge=100% start=30s drain=30s hang=30s own=no helpers=0 seed=1", (*story).newMachine},
		{"disk", "key=value...|broken REASON|slow: what the configuration on disk says from now on", (*story).writeDisk},
		{"wait", "DURATION: time passes, with a tick at every deadline", (*story).wait},
		{"pause", "DURATION: the master stands still: no tick, no event", func(s *story, a []string) { s.now += durationOf(a[0]) }},
		{"spawns", "work|fail temporary|fail final: from now on", func(s *story, a []string) { s.spawns = rest(a, 1) }},
		{"sockets", "open|fail REASON|are slow: from now on", func(s *story, a []string) { s.sockets = strings.TrimPrefix(rest(a, 0), "fail ") }},
		{"hang", "WORKER...: their heartbeats stop", (*story).hang},
		{"recover", "WORKER...: their heartbeats go on", (*story).recover},
		{"everybody", "ready: who starts; gone: who leaves has gone; watched: who was asked answers", (*story).everybody},
		{"helping", "at once|slow: from now on workers say Listening and Watched at once, or when the script says so", func(s *story, a []string) { s.helping = rest(a, 0) }},
		{"speaking", "PROTOCOL|nothing: who says ready by everybody ready speaks that from now on", (*story).speak},
		{"holding", "WORKER=CONNECTIONS...: so many are open there from now on", (*story).hold},
		{"queues", "NUMBER...: so many connections wait in the slots from now on", func(s *story, a []string) { s.queues = a }},
		{"slots", "empty|stay full N|empty slowly: what comes of empty slot from now on", func(s *story, a []string) { s.emptying = rest(a, 0) }},
		{"status", "prints what an operator sees", (*story).status},
		{"restore", "the machine goes on from its own snapshot", (*story).restore},
		{"manual", "nothing is answered any more", func(s *story, a []string) { s.manual = true }},
		{"at", "DURATION: (manual) it is that late", func(s *story, a []string) { s.now = epoch + durationOf(a[0]) }},
	}
}

// story is a machine with the world that a script describes.
type story struct {
	m       *Machine
	witness *witness
	now     Time
	text    strings.Builder

	disk     Target
	broken   string   // why the configuration on disk is refused, or "slow"
	spawns   string   // "": they work
	sockets  string   // "open", "are slow", or why they fail
	helping  string   // "slow": nobody says Listening or Watched
	protocol string   // of whoever says ready from now on
	queues   []string // what waits in the slots
	emptying string   // "empty slowly", "stay full N", or else they empty
	turns    int64    // of everybody's event loop
	holding  map[WorkerID]int
	hung     map[WorkerID]int64 // the turn in which its loop stood still
	manual   bool
	problem  error // the first objection
}

// tell runs a script and returns it with the outcome written anew.
func tell(script string) (told string, err error) {
	s, err := play(script)
	return s.text.String(), err
}

// play runs a script.
func play(script string) (s *story, err error) {
	s = &story{witness: newWitness(), now: epoch, sockets: "open", holding: map[WorkerID]int{}, hung: map[WorkerID]int64{}}
	var text string
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%q: %v\n%s", text, p, usage(commands))
		}
	}()
	for _, text = range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		if strings.HasPrefix(text, "    ") {
			continue
		}
		s.text.WriteString(text + "\n")
		if text != "" && text[0] != '#' {
			s.do(text)
		}
		if s.problem != nil {
			return s, fmt.Errorf("%q: %w", text, s.problem)
		}
	}
	return s, nil
}

func (s *story) do(text string) {
	words := strings.Fields(text)
	for _, c := range commands {
		if c.name == words[0] {
			c.run(s, words[1:])
			return
		}
	}
	ev, ok := eventOf(text)
	if !ok {
		panic("no such command")
	}
	s.happen(ev)
}

// happen takes an event through the machine, and then what follows at once.
func (s *story) happen(ev Event) {
	queue := []Event{ev}
	for handled := 0; len(queue) > 0 && s.problem == nil; queue = queue[1:] {
		if handled++; handled > 10_000 {
			panic("what follows from it does not come to an end")
		}
		actions, err := s.witness.step(s.m, s.now, queue[0])
		for _, a := range actions {
			s.say(a)
			if !s.manual {
				queue = append(queue, s.outcome(a)...)
			}
		}
		s.problem = err
	}
}

// say prints an action, unless it is a regular look at heartbeats or queues.
func (s *story) say(a Action) {
	look := a == Action(Sample{}) || a == Action(LookAtQueues{})
	if text := actionText(a); text != "" && (!look || s.manual) {
		fmt.Fprintf(&s.text, "    %-7v %s\n", (s.now - epoch).Round(time.Millisecond), text)
	}
}

// outcome is what the world answers at once.
func (s *story) outcome(a Action) []Event {
	switch a := a.(type) {
	case Spawn:
		if s.spawns == "" {
			return []Event{WorkerSpawned{ID: a.ID, PID: 100 + int(a.ID.Incarnation)}}
		}
		if s.spawns == "temporary" {
			return []Event{SpawnFailed{ID: a.ID, Temporary: true, Reason: "fork: resource temporarily unavailable"}}
		}
		return []Event{SpawnFailed{ID: a.ID, Reason: "gunicorn: not found"}}
	case OpenSockets:
		switch s.sockets {
		case "open":
			return []Event{SocketsOpened{Generation: a.Generation}}
		case "are slow":
			return nil
		}
		return []Event{SocketsFailed{Generation: a.Generation, Reason: s.sockets}}
	case LoadConfig:
		return s.configuration(a.Caller)
	case Sample:
		return []Event{s.heartbeats()}
	}
	return s.helpOutcome(a)
}

func (s *story) helpOutcome(a Action) []Event {
	switch a := a.(type) {
	case Serve:
		if _, w := s.m.find(a.ID); w != nil && w.Own && s.helping != "slow" {
			return []Event{WorkerSaidListening{ID: a.ID}}
		}
	case Watch:
		if s.helping != "slow" {
			return []Event{WorkerSaidWatched(a)}
		}
	case Unwatch:
		if s.helping != "slow" {
			return []Event{WorkerSaidWatched(a)}
		}
	case LookAtQueues:
		ev, _ := eventOf(strings.Join(append([]string{"looked"}, s.queues...), " "))
		return []Event{ev}
	case EmptySlot:
		left, full := strings.CutPrefix(s.emptying, "stay full ")
		switch {
		case s.emptying == "empty slowly":
			return nil
		case full:
			return []Event{SlotEmptied{Slot: a.Slot, Deadline: a.Deadline, Left: number(left)}}
		}
		return []Event{SlotEmptied{Slot: a.Slot, Deadline: a.Deadline}}
	}
	return nil
}

func (s *story) configuration(c Caller) []Event {
	switch s.broken {
	case "slow":
		return nil
	case "":
		s.disk.Revision++
		return []Event{ConfigLoaded{Caller: c, Target: s.disk}}
	}
	return []Event{ConfigRefused{Caller: c, Reason: s.broken}}
}

func (s *story) heartbeats() Event {
	s.turns++
	var ev HeartbeatsSampled
	for _, slot := range s.m.Slots {
		if w := slot.Serving; w != nil && w.State == Ready {
			beat := Beat{ID: w.ID, Value: s.turns, Connections: s.holding[w.ID]}
			if turn, hung := s.hung[w.ID]; hung {
				beat.Value = turn
			}
			ev.Beats = append(ev.Beats, beat)
		}
	}
	return ev
}

func (s *story) newMachine(args []string) {
	seed := uint64(1)
	args = slices.DeleteFunc(args, func(word string) bool {
		value, found := strings.CutPrefix(word, "seed=")
		if found {
			seed = uint64(number(value))
		}
		return found
	})
	s.disk = targetOf(defaultTarget, args)
	m, err := New(Config{Target: s.disk, Seed: seed})
	if err != nil {
		panic(err)
	}
	s.m = m
}

func (s *story) writeDisk(args []string) {
	switch args[0] {
	case "broken":
		s.broken = rest(args, 1)
	case "slow":
		s.broken = "slow"
	default:
		s.broken, s.disk = "", targetOf(s.disk, args)
	}
}

func (s *story) wait(args []string) {
	end := s.now + durationOf(args[0])
	for turns := 0; ; turns++ {
		at, ok := s.m.NextDeadline()
		if !ok || at > end || s.problem != nil {
			break
		}
		if turns > 10_000 {
			panic("its deadlines do not come to an end")
		}
		s.now = max(s.now, at)
		s.happen(Tick{})
	}
	s.now = end
}

func (s *story) speak(args []string) {
	if s.protocol = args[0]; s.protocol == "nothing" {
		s.protocol = ""
	}
}

func (s *story) hold(pairs []string) {
	for _, pair := range pairs {
		id, connections, _ := strings.Cut(pair, "=")
		s.holding[idOf(id)] = number(connections)
	}
}

func (s *story) hang(names []string) {
	for _, n := range names {
		s.hung[idOf(n)] = s.turns
	}
}

func (s *story) recover(names []string) {
	for _, n := range names {
		delete(s.hung, idOf(n))
	}
}

func (s *story) everybody(args []string) {
	for _, slot := range slices.Clone(s.m.Slots) {
		for _, w := range slot.workers() {
			for _, had := range slices.Clone(w.Watches) {
				if args[0] == "watched" && had.Asked {
					s.happen(WorkerSaidWatched{ID: w.ID, Slot: had.Slot})
				}
			}
			switch {
			case args[0] == "ready" && w.State == Starting:
				s.happen(WorkerSaidReady{ID: w.ID, Protocol: s.protocol})
			case args[0] == "gone" && w.State == Draining:
				s.happen(WorkerExited{ID: w.ID, Clean: true, Reason: "exit code 0"})
			case args[0] == "gone" && w.State == Aborting:
				s.happen(WorkerExited{ID: w.ID, Reason: "killed by SIGABRT"})
			case args[0] == "gone" && w.State == Killed:
				s.happen(WorkerExited{ID: w.ID, Reason: "killed by SIGKILL"})
			}
		}
	}
}

func (s *story) status([]string) {
	st := s.m.Status(s.now)
	fmt.Fprintf(&s.text, "    %s, generation %d, %s", st.State, st.Generation, slotCount(st.Slots))
	if st.LastReload.Result != "" {
		fmt.Fprintf(&s.text, "; last reload %s%s", st.LastReload.Result, colon(st.LastReload.Reason))
	}
	s.text.WriteString("\n")
	for _, w := range st.Workers {
		fmt.Fprintf(&s.text, "    %-5s generation %d %s", name(w.ID), w.Generation, w.State)
		if w.Unwell {
			s.text.WriteString(", unwell")
		}
		if w.RetryIn > 0 {
			fmt.Fprintf(&s.text, ", next try in %v", w.RetryIn.Round(time.Millisecond))
		}
		if len(w.Watches) > 0 {
			fmt.Fprintf(&s.text, ", watches %v", w.Watches)
		}
		for _, id := range w.Heirs {
			fmt.Fprintf(&s.text, ", gives to %s", name(id))
		}
		fmt.Fprintf(&s.text, ", %d restarts\n", w.Restarts)
	}
}

func (s *story) restore([]string) {
	m, err := Restore(s.m.Snapshot())
	if err != nil {
		panic(err)
	}
	s.m = m
}
