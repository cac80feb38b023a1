package supervise

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The event × state table: what every event does in every state. The tests
// below make each cell and compare it with the table in testdata, which a
// human has read; -update writes it anew. What must stand in the rows and
// columns is not a list that somebody keeps: it is read from the source.
//
//	-              nothing changes, and nothing is done
//	kept           no action, but something is remembered
//	state: a, b    the worker's (or the machine's) state, and the actions

// row is one event of the table; in it the worker is called WORKER.
type row struct {
	event  string
	when   string                // more about it, for the reader
	before string                // a script: what makes it possible
	arm    func(*story, *worker) // what no script can say
}

func (r row) of(id string) Event {
	ev, ok := eventOf(strings.ReplaceAll(r.event, "WORKER", id))
	if !ok {
		panic(r.event + " is no event")
	}
	return ev
}

var workerRows = []row{
	{event: "spawned WORKER 99"},
	{event: "spawn-failed WORKER temporary no memory"},
	{event: "spawn-failed WORKER final not found"},
	{event: "ready WORKER"},
	{event: "ready WORKER http/1"},
	{event: "leaving WORKER SIGTERM"},
	{event: "left WORKER"},
	{event: "misbehaved WORKER garbage"},
	{event: "exited WORKER exit code 0"},
	{event: "exited WORKER killed by SIGSEGV"},
	{event: "spoke WORKER"},
	{event: "spoke WORKER", when: "of a kind that is ready when it lives", arm: func(s *story, w *worker) {
		if w.State == Starting {
			w.ReadyDue = s.now + 1
		}
	}},
	{event: "hello WORKER"},
	{event: "hello WORKER", when: "of a kind that is ready when it lives", arm: func(s *story, w *worker) {
		if w.State == Starting {
			w.ReadyDue = s.now + 1
		}
	}},
	{event: "asked WORKER 60s"},
	{event: "asked WORKER 1ms"},
	{event: "gave-up WORKER WATCHDOG=trigger"},
	{event: "listening WORKER"},
	{event: "watched WORKER 1", when: "which it was asked for, perhaps"},
	{event: "watched WORKER 9", when: "unasked"},
	{event: "recycle WORKER it is old"},
	{event: "sampled WORKER=7"},
	{event: "sampled WORKER=7", when: "after unwellAfter", arm: func(s *story, w *worker) { s.lastBeat(w, s.now-unwellAfter) }},
	{event: "sampled WORKER=7,rare", when: "after unwellAfter", arm: func(s *story, w *worker) { s.lastBeat(w, s.now-unwellAfter) }},
	{event: "sampled WORKER=7", when: "after hang-timeout", arm: func(s *story, w *worker) { s.lastBeat(w, s.now-defaultTarget.HangTimeout) }},
	{event: "sampled WORKER=7", when: "after hang-timeout, the master was paused", arm: func(s *story, w *worker) {
		s.lastBeat(w, s.now-defaultTarget.HangTimeout)
		s.m.SampledAt = s.now - defaultTarget.HangTimeout
	}},
	{event: "tick", when: "when being alive is enough", arm: func(s *story, w *worker) {
		if w.State == Starting {
			w.ReadyDue = s.now
		}
	}},
	{event: "tick", when: "at its deadline", arm: func(s *story, w *worker) {
		if w.State != Ready { // that of Ready is judged by samples
			s.wait([]string{(w.Deadline - s.now - 1).String()})
			s.now++
		}
	}},
}

// column is a worker in a seat and a state.
type column struct {
	name   string
	script string
	id     string // of the worker
	state  State
}

const running3 = "machine slots=3 own=yes helpers=1\nstarted\neverybody ready\nwait 5s\n" // who help each other

const speaking2 = "machine slots=2 own=yes\nspeaking http/1\nstarted\neverybody ready\nwait 5s\n" // heirs of each other

const running2 = "machine slots=2\nstarted\neverybody ready\nwait 5s\n"

var columns = []column{
	{"serving, waiting", running2 + "spawns fail final\nexited 0/1 exit code 1", "0/4", Waiting},
	{"serving, starting", running2 + "exited 0/1 exit code 1", "0/3", Starting},
	{"serving, ready", running2, "0/1", Ready},
	{"serving, ready for less than a second", running2 + "exited 0/1 exit code 1\nready 0/3", "0/3", Ready},
	{"serving, unwell", running2 + "hang 0/1\nwait 5s", "0/1", Ready},
	{"serving, ready, old in a reload", running2 + "reload #1", "0/1", Ready},
	{"serving, ready, new in a rolling reload", "machine slots=2 surge=1\nstarted\neverybody ready\nwait 5s\nreload #1\nready 0/3", "0/3", Ready},
	{"coming, waiting, in a reload", running2 + "spawns fail temporary\nreload #1", "0/3", Waiting},
	{"coming, starting, in a reload", running2 + "reload #1", "0/3", Starting},
	{"coming, standby, in a reload", running2 + "reload #1\nready 0/3", "0/3", Standby},
	{"coming, starting, in the start", "machine slots=2\nstarted", "0/1", Starting},
	{"coming, waiting, in a recycle", running2 + "spawns fail temporary\nrecycle 0/1 old", "0/3", Waiting},
	{"coming, starting, in a recycle", running2 + "recycle 0/1 old", "0/3", Starting},
	{"leaving, draining", running2 + "reload #1\neverybody ready", "0/1", Draining},
	{"leaving, aborting", running2 + "hang 0/1\nwait 31s", "0/1", Aborting},
	{"leaving, killed", running2 + "hang 0/1\nwait 36s", "0/1", Killed},
	{"leaving, draining, the master stops", running2 + "signal TERM", "0/1", Draining},
	{"leaving, killed, the master stops", running2 + "signal INT", "0/1", Killed},
	{"serving, ready, our own, not listening", "machine slots=3 own=yes helpers=1\nhelping slow\nstarted\neverybody ready", "0/1", Ready},
	{"serving, ready, our own, was asked", "machine slots=3 own=yes helpers=1\nhelping slow\nstarted\neverybody ready\nlistening 0/1\nlistening 1/2", "0/1", Ready},
	{"serving, ready, our own, helps", running3, "0/1", Ready},
	{"serving, ready, our own, deaf", running3 + "misbehaved 0/1 garbage", "0/1", Ready},
	{"serving, ready, has an heir", speaking2, "0/1", Ready},
	{"coming, starting, to be an heir", speaking2 + "reload #1", "0/3", Starting},
	{"leaving, draining, gives", speaking2 + "reload #1\neverybody ready", "0/1", Draining},
	{"leaving, draining, has lost its heir", speaking2 + "reload #1\neverybody ready\nwait 2s\nexited 0/3 killed by SIGKILL", "0/1", Draining},
	{"serving, starting, to be an heir", speaking2 + "reload #1\neverybody ready\nwait 2s\nexited 0/3 killed by SIGKILL", "0/5", Starting},
	{"serving, ready, an heir", speaking2 + "reload #1\neverybody ready", "0/3", Ready},
	{"leaving, draining, our own", running3 + "helping slow\nreload #1\neverybody ready", "0/1", Draining},
	{"replaced and gone", running2 + "exited 0/1 exit code 1", "0/1", Empty},
	{"of a slot that never was", running2, "7/1", Empty},
}

func TestWorkerEvents(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for _, r := range workerRows {
		fmt.Fprintln(&table, strings.TrimSpace(r.event+"  "+r.when))
		for _, c := range columns {
			s := mustPlay(t, c.script)
			id := idOf(c.id)
			_, w := s.m.find(id)
			if got := stateOf(w); got != c.state {
				t.Fatalf("%s: the script leads to %v, not %v", c.name, got, c.state)
			}
			fmt.Fprintf(&table, "    %-42s%s\n", c.name, s.cell(t, r, w, c.id))
		}
	}
	golden(t, "events-of-workers.table", table.String())
}

var phaseNames = [...]string{"fresh", "running", "drained", "stopping", "gone"}

// situations are what the machine as a whole can be about.
var situations = []struct{ name, script string }{
	{"fresh", "machine slots=2"},
	{"starting", "machine slots=2\nstarted"},
	{"running", running2},
	{"running, siblings help", running3},
	{"running, workers have heirs", speaking2},
	{"running, an heir died", speaking2 + "reload #1\neverybody ready\nwait 2s\nexited 0/3 killed by SIGKILL"},
	{"running, a slot retires", running2 + "slots empty slowly\nscale #1 1\neverybody gone"},
	{"degraded", running2 + "spawns fail final\nexited 0/1 exit code 1\nexited 1/2 exit code 1\nwait 11s"},
	{"reloading, sockets are opened", running2 + "sockets are slow\nreload #1"},
	{"reloading, all or nothing", running2 + "reload #1"},
	{"reloading, rolling", "machine slots=2 surge=1\nstarted\neverybody ready\nwait 5s\nreload #1\nready 0/3"},
	{"scaling", running2 + "scale #1 3"},
	{"drained", running2 + "signal WINCH"},
	{"resuming", running2 + "signal WINCH\nsignal TTIN"},
	{"stopping", running2 + "stop #1"},
	{"gone", running2 + "stop #1\neverybody gone"},
}

var masterRows = []row{
	{event: "started"},
	{event: "tick"},
	{event: "signal HUP"},
	{event: "signal HUP here"},
	{event: "signal HUP gone"},
	{event: "signal INT"},
	{event: "signal INT here"},
	{event: "signal INT gone"},
	{event: "signal QUIT"},
	{event: "signal TERM"},
	{event: "signal TTIN"},
	{event: "signal TTOU"},
	{event: "signal USR1"},
	{event: "signal USR2"},
	{event: "signal WINCH"},
	{event: "signal WINCH here"},
	{event: "signal CHLD"},
	{event: "signal WINCH gone"},
	{event: "loaded #9 slots=3", before: "disk slow\nreload #9"},
	{event: "loaded #9 slots=0", before: "disk slow\nreload #9"},
	{event: "loaded #8 slots=3", when: "nobody asked"},
	{event: "refused #9 unknown key", before: "disk slow\nreload #9"},
	{event: "refused #8 unknown key", when: "nobody asked"},
	{event: "opened 1"},
	{event: "opened 2"},
	{event: "open-failed 1 taken"},
	{event: "open-failed 2 taken"},
	{event: "reload #9"},
	{event: "reload #9", when: "while a configuration is read", before: "disk slow\nreload #8"},
	{event: "scale #9 0"},
	{event: "scale #9 2"},
	{event: "scale #9 3"},
	{event: "scale #9 +1"},
	{event: "scale #9 -1"},
	{event: "upgrade #9"},
	{event: "reopen #9"},
	{event: "stop #9"},
	{event: "stop #9 now"},
	{event: "left-caller #1", when: "who waits, if anybody does"},
	{event: "left-caller #9", when: "nobody asked"},
	{event: "looked 0 2"},
	{event: "looked 0 2 moved"},
	{event: "looked 0 2", when: "again", before: "looked 0 1"},
	{event: "looked 2", when: "after another slot's queue, and too short", before: "looked 0 1"},
	{event: "looked -1 -1 -1 -1 9", when: "again, and nonsense", before: "looked 1 1 1 -1 9"},
	{event: "mended 1"},
	{event: "mended 9", when: "no such slot"},
	{event: "emptied 1 10s 0", when: "as it was asked for, perhaps"},
	{event: "emptied 1 10s 3", when: "in vain"},
	{event: "emptied 1 9s 0", when: "of an earlier ask"},
	{event: "emptied 9 10s 0", when: "no such slot"},
	{event: "emptied -1 10s 0", when: "no such slot"},
}

func TestMasterEvents(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for _, r := range masterRows {
		fmt.Fprintln(&table, strings.TrimSpace(r.event+"  "+r.when))
		for _, sit := range situations {
			s := mustPlay(t, sit.script+"\n"+r.before)
			fmt.Fprintf(&table, "    %-32s%s\n", sit.name, s.cell(t, r, nil, ""))
		}
	}
	golden(t, "events-of-the-master.table", table.String())
}

// TestTablesAreComplete reads the closed sets from the source: an event, a
// signal, a terminal, a state, a phase or a kind of change that somebody adds
// has no row or column, and fails here.
func TestTablesAreComplete(t *testing.T) {
	t.Parallel()
	rows := map[string]bool{}
	for _, r := range slices.Concat(workerRows, masterRows) {
		ev := r.of("0/1")
		rows[reflect.TypeOf(ev).Name()] = true
		if sig, ok := ev.(SignalReceived); ok {
			rows["SIG"+signalNames[sig.Signal]] = true
			rows[map[Terminal]string{TerminalNone: "TerminalNone", TerminalHere: "TerminalHere", TerminalGone: "TerminalGone"}[sig.Terminal]] = true
		}
	}
	for _, c := range columns {
		rows[strings.ToUpper(c.state.String()[:1])+c.state.String()[1:]] = true
	}
	for _, sit := range situations {
		s := mustPlay(t, sit.script)
		rows[phaseNames[s.m.Phase]] = true
		if c := s.m.Change; c != nil {
			rows[string(c.Kind)] = true
		}
	}
	for _, want := range slices.Concat(eventTypes(t), constants(t, "event.go", "Signal"), constants(t, "event.go", "Terminal"),
		constants(t, "state.go", "State"), constants(t, "machine.go", "phase"), constants(t, "change.go", "changeKind")) {
		if !rows[want] {
			t.Errorf("%s has no row or column in the event × state table", want)
		}
	}
}

// cell makes the event happen and condenses what came of it.
func (s *story) cell(t *testing.T, r row, w *worker, id string) string {
	t.Helper()
	if r.arm != nil && w != nil {
		r.arm(s, w)
	}
	before := s.m.Snapshot()
	actions, err := s.witness.step(s.m, s.now, r.of(id))
	if err != nil {
		t.Fatalf("%s: %v", r.event, err)
	}
	done := kinds(actions)
	switch {
	case done != "":
		return s.stateNow(w) + ": " + done
	case !bytes.Equal(withoutTime(s.m.Snapshot()), withoutTime(before)):
		return "kept"
	}
	return "-"
}

// stateNow is the worker's state, or without one the machine's.
func (s *story) stateNow(w *worker) string {
	if w != nil {
		return w.State.String()
	}
	what := phaseNames[s.m.Phase]
	if c := s.m.Change; c != nil {
		what += ", " + string(c.Kind)
	}
	return what
}

// lastBeat makes it so that the heartbeat of a worker who serves was last seen
// to move then.
func (s *story) lastBeat(w *worker, at Time) {
	s.m.SampledAt = s.now
	if w.State == Ready {
		w.Beat, w.BeatAt, w.Deadline = 7, at, at+defaultTarget.HangTimeout
	}
}

// kinds counts actions by kind, in the order in which the kinds first appear.
// Of notes only warnings and errors count, unless there is nothing else.
func kinds(actions []Action) string {
	var words []string
	counts := map[string]int{}
	for _, a := range actions {
		word := kindOf(a)
		if counts[word]++; counts[word] == 1 && word != "" {
			words = append(words, word)
		}
	}
	if len(words) == 0 && counts[""] > 0 {
		return "note"
	}
	for i, word := range words {
		if n := counts[word]; n > 1 {
			words[i] += "×" + itoa(n)
		}
	}
	return strings.Join(words, ", ")
}

func kindOf(a Action) string {
	switch a := a.(type) {
	case Note:
		if a.Level == Debug || a.Level == Info {
			return ""
		}
		return levelNames[a.Level]
	case Answer:
		return "answer " + string(a.Result)
	case Announce:
		return string(a.State)
	case Exit:
		return "exit " + itoa(a.Code)
	}
	return strings.ToLower(reflect.TypeOf(a).Name())
}

func stateOf(w *worker) State {
	if w == nil {
		return Empty
	}
	return w.State
}

// mustPlay runs a script and returns its story at the end.
func mustPlay(t *testing.T, script string) *story {
	t.Helper()
	s, err := play(script)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withoutTime cuts the clock out of a snapshot.
func withoutTime(snapshot []byte) []byte {
	_, state, _ := bytes.Cut(snapshot, []byte(`"state":`))
	return state
}

func parseSource(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// eventTypes lists the receivers of the method event.
func eventTypes(t *testing.T) (names []string) {
	for _, d := range parseSource(t, "event.go").Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "event" {
			names = append(names, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	if len(names) < 20 {
		t.Fatalf("only %d events found: %v", len(names), names)
	}
	return names
}

// constants lists the constants of a type, which its block names once.
func constants(t *testing.T, file, typ string) (names []string) {
	for _, d := range parseSource(t, file).Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		of := ""
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if id, ok := v.Type.(*ast.Ident); ok {
				of = id.Name
			}
			if of == typ {
				names = append(names, v.Names[0].Name)
			}
		}
	}
	if len(names) < 3 {
		t.Fatalf("only %d constants of %s found in %s", len(names), typ, file)
	}
	return names
}
