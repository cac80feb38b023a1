package supervise

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestBreakerIsARate: a slot whose worker crashes every three seconds is under
// the limit for ever, however often that was, and only a minute of it is kept.
func TestBreakerIsARate(t *testing.T) {
	t.Parallel()
	s := mustPlay(t, "machine slots=1\nstarted\neverybody ready")
	for n := range 20 * respawnMax {
		s.wait([]string{"3s"})
		s.happen(WorkerExited{ID: s.m.Slots[0].Serving.ID, Reason: "killed by SIGSEGV"})
		if got := s.m.Slots[0].Serving.State; got != Starting {
			t.Fatalf("after crash %d the slot is %v, not starting at once", n+1, got)
		}
		if kept := len(s.m.Slots[0].Respawns); kept > respawnMax {
			t.Fatalf("after crash %d the times of %d are kept", n+1, kept)
		}
		s.everybody([]string{"ready"})
	}
}

// TestStormsAreBounded: what is kept of signals and of callers who have left
// does not grow with their number.
func TestStormsAreBounded(t *testing.T) {
	t.Parallel()
	s := mustPlay(t, running2+"reload #1\ndisk slow")
	storm := func(times int) int {
		for n := range times {
			c := Caller(100 + n)
			for _, ev := range []Event{
				SignalReceived{Signal: SIGHUP}, SignalReceived{Signal: SIGTTIN}, SignalReceived{Signal: SIGTTOU},
				ConfigLoaded{Target: defaultTarget},
				ReloadRequested{Caller: c}, ConfigLoaded{Caller: c, Target: defaultTarget}, CallerLeft{Caller: c},
				ScaleRequested{Caller: c, Workers: 3}, CallerLeft{Caller: c},
			} {
				s.happen(ev)
			}
		}
		return len(s.m.Snapshot())
	}
	if few, many := storm(10), storm(1000); many > few {
		t.Errorf("ten rounds leave %d bytes, a thousand more %d", few, many)
	}
	s.happen(StopRequested{})
	few := len(s.m.Snapshot())
	for c := Caller(1); c < 1000; c++ {
		s.happen(StopRequested{Caller: c})
		s.happen(CallerLeft{Caller: c})
	}
	if many := len(s.m.Snapshot()); many > few {
		t.Errorf("those who asked for the stop and left take %d bytes", many-few)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	m := mustPlay(t, "machine slots=1").m
	for _, tc := range []struct {
		failures int
		middle   time.Duration
	}{
		{0, 0}, {1, 100 * time.Millisecond}, {2, 200 * time.Millisecond}, {5, 1600 * time.Millisecond},
		{7, 6400 * time.Millisecond}, {8, 10 * time.Second}, {9, 10 * time.Second}, {64, 10 * time.Second}, {math.MaxInt, 10 * time.Second},
	} {
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for range 1000 {
			wait := m.backoff(tc.failures)
			least, most = min(least, wait), max(most, wait)
		}
		if least < tc.middle*3/4 || most > tc.middle*5/4 || most-least < tc.middle*2/5 {
			t.Errorf("after %d failures %v to %v, not spread by a quarter around %v", tc.failures, least, most, tc.middle)
		}
	}
}

// TestTimesDoNotOverflow: the longest times there are lie in the future, not
// in the past.
func TestTimesDoNotOverflow(t *testing.T) {
	t.Parallel()
	longest := defaultTarget
	longest.StartTimeout, longest.DrainTimeout, longest.HangTimeout = TimeoutMax, TimeoutMax, TimeoutMax
	m, err := New(Config{Target: longest})
	if err != nil {
		t.Fatal(err)
	}
	s := &story{m: m, witness: newWitness(), now: 100 * 365 * 24 * time.Hour, sockets: "open", disk: longest}
	s.happen(Started{})
	s.everybody([]string{"ready"})
	s.wait([]string{"5s"})
	s.happen(ReloadRequested{Caller: 1, Timeout: math.MaxInt64})
	s.wait([]string{"5s"})
	if s.problem != nil || s.m.Change == nil || s.witness.callers[1] != 1 {
		t.Errorf("the reload is over: %v, %+v\n%s", s.problem, s.m.LastReload, s.text.String())
	}
}

func TestTargetValidate(t *testing.T) {
	t.Parallel()
	const times = "start-, drain- and hang-timeout are "
	for _, tc := range []struct {
		words []string
		want  string
	}{
		{nil, ""},
		{[]string{"slots=1024", "surge=1000000%"}, ""},
		{[]string{"slots=0"}, "workers is 0: it must be 1 to 1024"},
		{[]string{"slots=1025"}, "workers is 1025: it must be 1 to 1024"},
		{[]string{"surge=0"}, "surge is neither a count nor a percentage above zero"},
		{[]string{"surge=-1"}, "surge is neither a count nor a percentage above zero"},
		{[]string{"surge=0%"}, "surge is neither a count nor a percentage above zero"},
		{[]string{"start=0s"}, times + "0s, 30s and 30s: they must be above zero and at most 720h0m0s"},
		{[]string{"drain=-1s"}, times + "30s, -1s and 30s: they must be above zero and at most 720h0m0s"},
		{[]string{"helpers=16"}, ""},
		{[]string{"helpers=17"}, "helpers is 17: it must be 0 to 16"},
		{[]string{"helpers=-1"}, "helpers is -1: it must be 0 to 16"},
		{[]string{"hang=721h"}, times + "30s, 30s and 721h0m0s: they must be above zero and at most 720h0m0s"},
	} {
		err := targetOf(defaultTarget, tc.words).Validate()
		if got := errorText(err); got != tc.want {
			t.Errorf("%v: got %q, want %q", tc.words, got, tc.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestSurge compares with a second way to compute it.
func TestSurge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		target Target
		slots  int
		want   int
	}{
		{Target{SurgePercent: 100}, 4, 4},
		{Target{SurgePercent: 25}, 4, 1},
		{Target{SurgePercent: 25}, 5, 2},
		{Target{SurgePercent: 1}, 1, 1},
		{Target{SurgeCount: 3, SurgePercent: 1}, 100, 3},
		{Target{SurgePercent: math.MaxInt}, SlotsMax, SlotsMax},
	} {
		if got := tc.target.surge(tc.slots); got != tc.want {
			t.Errorf("%+v of %d slots: got %d, want %d", tc.target, tc.slots, got, tc.want)
		}
	}
	for range 1000 {
		slots, percent := 1+rand.IntN(SlotsMax), 1+rand.IntN(100)
		c := &change{Slots: slots, Target: Target{SurgePercent: percent}}
		if got, want := c.Target.surge(slots), surgeOf(c); got != want {
			t.Errorf("%d%% of %d slots: got %d, want %d", percent, slots, got, want)
		}
	}
}

// TestTimeStandsStill: a clock that steps back counts as one that stands.
func TestTimeStandsStill(t *testing.T) {
	t.Parallel()
	s := mustPlay(t, running2+"signal TERM")
	before, _ := s.m.NextDeadline()
	if actions := s.m.Step(0, Tick{}); len(actions) > 0 {
		t.Errorf("the past brings %v", actions)
	}
	if after, _ := s.m.NextDeadline(); after != before || s.m.now != s.now {
		t.Errorf("the clock is at %v, the next deadline at %v, not at %v and %v", s.m.now, after, s.now, before)
	}
}
