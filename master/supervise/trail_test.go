package supervise

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// trail is what happened to a machine, and when: enough to have it again.
type trail struct {
	target Target
	seed   uint64
	facts  []fact
}

type fact struct {
	at Time
	ev Event
}

// script writes the trail in the language of the stories.
func (tr trail) script() string {
	var b strings.Builder
	fmt.Fprintf(&b, "machine %s seed=%d\nmanual\n", targetText(tr.target), tr.seed)
	var now Time
	for _, f := range tr.facts {
		if f.at != now {
			now = f.at
			fmt.Fprintf(&b, "at %v\n", now-epoch)
		}
		fmt.Fprintln(&b, textOf(f.ev))
	}
	return b.String()
}

// replay has it all again on a new machine, and returns the first objection
// and how many facts it took.
func (tr trail) replay() (taken int, problem error) {
	m, err := New(Config{Target: tr.target, Seed: tr.seed})
	if err != nil {
		return 0, err
	}
	w := newWitness()
	for i, f := range tr.facts {
		if _, err := w.step(m, f.at, f.ev); err != nil {
			return i + 1, err
		}
	}
	return len(tr.facts), nil
}

// shrunk is as little of the trail as breaks the same invariant. It need not be
// what a real world could do; it only has to be short. A trail whose objection
// does not come again, as those about liveness do not, stays as it is.
func (tr trail) shrunk() trail {
	taken, problem := tr.replay()
	if problem == nil {
		return tr
	}
	tr.facts = tr.facts[:taken]
	return tr.without(func(less trail) bool {
		_, again := less.replay()
		return again != nil && kindOfProblem(again) == kindOfProblem(problem)
	})
}

// without leaves out facts, ever fewer at once, as long as the rest still fails.
func (tr trail) without(fails func(trail) bool) trail {
	for size := len(tr.facts) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(tr.facts); {
			less := tr
			less.facts = slices.Concat(tr.facts[:i], tr.facts[i+size:])
			if fails(less) {
				tr = less
			} else {
				i += size
			}
		}
	}
	return tr
}

// kindOfProblem is the part of an objection that does not name anybody: I1, L1.
func kindOfProblem(err error) string {
	for _, word := range strings.FieldsFunc(err.Error(), func(r rune) bool { return r == ' ' || r == ':' }) {
		if len(word) == 2 && (word[0] == 'I' || word[0] == 'L') {
			return word
		}
	}
	return ""
}

// TestTrailIsAStory: what a failed simulation prints leads a story to the very
// same machine.
func TestTrailIsAStory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		k := simulate(seed)
		s, err := play(k.trail.script())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.m.Snapshot(), k.m.Snapshot(); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: the story leads to\n%s\nthe simulation to\n%s", seed, got, want)
		}
	}
}

func TestTrailShrinks(t *testing.T) {
	t.Parallel()
	var long trail
	for n := range 1000 {
		long.facts = append(long.facts, fact{epoch + Time(n), Tick{}})
	}
	short := long.without(func(less trail) bool {
		return slices.Contains(less.facts, long.facts[17]) && slices.Contains(less.facts, long.facts[733])
	})
	if len(short.facts) != 2 {
		t.Errorf("%d facts are left, of which two matter", len(short.facts))
	}
}

// TestLanguage: what is written can be read again, for every kind of event.
func TestLanguage(t *testing.T) {
	t.Parallel()
	id := WorkerID{Slot: 1, Incarnation: 2}
	facts := []Event{
		Started{}, Tick{}, SignalReceived{Signal: SIGHUP, Terminal: TerminalGone}, SignalReceived{Signal: SIGUSR1},
		ConfigLoaded{Caller: 1, Target: defaultTarget}, ConfigRefused{Caller: 1, Reason: "line 3: no"},
		SocketsOpened{Generation: 1}, SocketsFailed{Generation: 1, Reason: "is taken"},
		ReloadRequested{Caller: 2}, ReloadRequested{Caller: 2, Timeout: 1500}, ScaleRequested{Caller: 3, Workers: 4},
		ScaleRequested{Caller: 3, Relative: true, Delta: 1}, ScaleRequested{Relative: true, Delta: -1},
		RecycleRequested{ID: id, Reason: "it is old"}, UpgradeRequested{Caller: 4}, ReopenRequested{Caller: 5},
		StopRequested{Caller: 6}, StopRequested{Now: true}, CallerLeft{Caller: 6},
		WorkerSpawned{ID: id, PID: 77}, SpawnFailed{ID: id, Reason: "not found"}, SpawnFailed{ID: id, Temporary: true, Reason: "no memory"},
		WorkerSaidReady{ID: id}, WorkerSaidLeaving{ID: id, Reason: "SIGTERM"}, WorkerSaidLeft{ID: id},
		WorkerMisbehaved{ID: id, Reason: "garbage"}, WorkerExited{ID: id, Clean: true, Reason: "exit code 0"},
		WorkerExited{ID: id, Reason: "exit code 1", Words: "no such module"},
		WorkerExited{ID: id, Reason: "killed by SIGKILL", Words: "help", Tally: Tally{Known: true, Cut: 3}},
		WorkerExited{ID: id, Clean: true, Reason: "exit code 0", Tally: Tally{Known: true, Given: 1, Finished: 2}},
		HeartbeatsSampled{Beats: []Beat{{ID: id, Value: 5}, {ID: WorkerID{Incarnation: 1}, Value: -6, Rare: true}}}, HeartbeatsSampled{},
		WorkerSpoke{ID: id}, WorkerSaidHello{ID: id}, WorkerAskedForTime{ID: id, For: 5}, WorkerGaveUp{ID: id, Reason: "WATCHDOG=trigger"},
		WorkerSaidListening{ID: id}, WorkerSaidWatched{ID: id, Slot: 3}, SocketsMended{Slot: 1},
		QueuesSampled{Waiting: []int{0, 2}, Moved: true}, QueuesSampled{},
		SlotEmptied{Slot: 1, Deadline: epoch + 5*time.Second}, SlotEmptied{Slot: 1, Deadline: epoch + 1, Left: 2},
	}
	seen := map[string]bool{}
	for _, ev := range facts {
		again, ok := eventOf(textOf(ev))
		if !ok || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", ev) {
			t.Errorf("%q reads as %#v, not %#v", textOf(ev), again, ev)
		}
		seen[fmt.Sprintf("%T", ev)] = true
	}
	for _, name := range eventTypes(t) {
		if !seen["supervise."+name] {
			t.Errorf("%s is not tried", name)
		}
	}
}
