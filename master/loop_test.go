package master

import (
	"testing"
	"testing/synctest"
	"time"

	"prefork/master/supervise"
)

// obedient is a world in which everything works at once: workers are ready as
// soon as they are spawned and exit as soon as they are asked to.
type obedient struct {
	done          []supervise.Action
	handledEvents int
}

func (o *obedient) handled(supervise.Event) []supervise.Event {
	o.handledEvents++
	return nil
}

func (o *obedient) perform(a supervise.Action) []supervise.Event {
	o.done = append(o.done, a)
	switch a := a.(type) {
	case supervise.OpenSockets:
		return []supervise.Event{supervise.SocketsOpened{Generation: a.Generation}}
	case supervise.Spawn:
		return []supervise.Event{supervise.WorkerSpawned{ID: a.ID, PID: 100 + int(a.ID.Incarnation)}, supervise.WorkerSaidReady{ID: a.ID}}
	case supervise.Drain:
		return []supervise.Event{supervise.WorkerExited{ID: a.ID, Reason: "exit code 0"}}
	case supervise.Kill:
		return []supervise.Event{supervise.WorkerExited{ID: a.ID, Reason: "killed by SIGKILL"}}
	}
	return nil
}

func (o *obedient) count(wanted func(supervise.Action) bool) (n int) {
	for _, a := range o.done {
		if wanted(a) {
			n++
		}
	}
	return n
}

func isSpawn(a supervise.Action) bool  { _, ok := a.(supervise.Spawn); return ok }
func isSample(a supervise.Action) bool { _, ok := a.(supervise.Sample); return ok }

func testTarget(slots int) supervise.Target {
	return supervise.Target{
		Slots: slots, SurgePercent: 100,
		StartTimeout: 30 * time.Second, DrainTimeout: 30 * time.Second, HangTimeout: 30 * time.Second,
	}
}

// newTestLoop makes a loop over the fake world; its clock is the bubble's, if there
// is one.
func newTestLoop(t testing.TB, world effects, target supervise.Target) *loop {
	t.Helper()
	machine, err := supervise.New(supervise.Config{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	return &loop{
		machine: machine, effects: world,
		events: make(chan supervise.Event, eventsMax), tasks: make(chan func()),
		now: func() supervise.Time { return time.Since(began) + time.Second },
		check: func(m *supervise.Machine) {
			if err := m.Check(); err != nil {
				t.Errorf("Check: %v", err)
			}
		},
	}
}

func TestLoopStartsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &obedient{}
		l := newTestLoop(t, world, testTarget(3))
		l.events <- supervise.StopRequested{}
		if got := l.run().Code; got != 0 {
			t.Errorf("run returned %d, want 0", got)
		}
		if got := world.count(isSpawn); got != 3 {
			t.Errorf("%d workers were spawned, want 3", got)
		}
	})
}

func TestLoopKeepsTimeWhileNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &obedient{}
		l := newTestLoop(t, world, testTarget(2))
		ended := make(chan int)
		go func() { ended <- l.run().Code }()
		<-time.After(time.Minute) // the bubble's clock: nobody waits
		synctest.Wait()
		if got := world.count(isSample); got < 55 || got > 62 {
			t.Errorf("%d samples in a quiet minute, want about 60", got)
		}
		l.events <- supervise.SignalReceived{Signal: supervise.SIGTERM}
		if got := <-ended; got != 0 {
			t.Errorf("run returned %d, want 0", got)
		}
	})
}

func TestLoopHandlesOutcomesBeforeTheNextEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &obedient{}
		l := newTestLoop(t, world, testTarget(1))
		// More events than the channel holds would deadlock a loop that sends
		// its outcomes to itself.
		go func() {
			for range 2 * eventsMax {
				l.events <- supervise.ReopenRequested{}
			}
			l.events <- supervise.StopRequested{}
		}()
		if got := l.run().Code; got != 0 {
			t.Errorf("run returned %d, want 0", got)
		}
		if want := 2*eventsMax + 2; world.handledEvents < want {
			t.Errorf("%d events were handled, want at least %d", world.handledEvents, want)
		}
	})
}

func TestLoopAnswersTasksBetweenEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLoop(t, &obedient{}, testTarget(2))
		ended := make(chan int)
		go func() { ended <- l.run().Code }()
		var state supervise.Overall
		done := make(chan struct{})
		l.tasks <- func() { state = l.machine.Status(l.now()).State; close(done) }
		<-done
		if state != supervise.StateServing {
			t.Errorf("state is %q, want %q", state, supervise.StateServing)
		}
		l.events <- supervise.StopRequested{Now: true}
		<-ended
	})
}
