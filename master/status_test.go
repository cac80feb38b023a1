package master

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/master/control"
	"prefork/master/supervise"
)

func TestStatusWhileStarting(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, 1, "after gate good")
	r.start(t)
	st := r.awaitStatus(t, "a worker in standby", func(st control.Status) bool {
		return len(st.Workers) == 2 && st.Workers[0].State == "standby"
	})
	if st.State != "starting" || st.Generation != 0 || st.PID != r.PID() || st.Name != "prefork" || st.Version != "test" {
		t.Errorf("the status is %+v, want starting at generation 0", st)
	}
	if w := st.Workers[1]; w.State != "starting" || w.PID == 0 || w.Incarnation != 2 || w.Generation != 1 || w.Steered {
		t.Errorf("the late worker is %+v, want starting", w)
	}
	if len(st.Listen) != 1 || strings.HasSuffix(st.Listen[0].Address, ":0") || !st.Listen[0].ReusePort {
		t.Errorf("it listens on %+v, want a resolved port", st.Listen)
	}
	if got := r.log.count("2 workers serve on "+st.Listen[0].Address, noSlot); got != 0 {
		t.Error("the banner was shown before all workers were ready")
	}
	r.open(t, "gate")
	st = r.awaitReady(t, 2)
	if st.Generation != 1 || st.Workers[1].RSSBytes == 0 || !st.Workers[1].Steered {
		t.Errorf("the status is %+v, want generation 1 and figures of its workers", st)
	}
	r.log.await(t, "2 workers serve on "+st.Listen[0].Address, noSlot)
	mustServe(t, st)
	r.awaitStatus(t, "the counters of those connections", func(st control.Status) bool {
		return st.Workers[0].Accepted > 0 && st.Workers[1].Accepted > 0
	})
}

// TestQueueIsCounted: connections that wait in a slot's socket are in the status.
func TestQueueIsCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.behave(t, 0, "after gate good")
	r.start(t)
	st := r.awaitStatus(t, "a worker", func(st control.Status) bool { return len(st.Workers) == 1 })
	answer := askLater(t, st.Listen[0].Address)
	r.awaitStatus(t, "a connection in the queue", func(st control.Status) bool { return st.Workers[0].AcceptQueue == 1 })
	r.open(t, "gate")
	if got, want := <-answer, "slot 0 generation 1 pid "; !strings.HasPrefix(got, want) {
		t.Errorf("the queued connection got %q, want %q…", got, want)
	}
}

// TestEventsTellTheStory: the stream has what the log has from info on, in the
// same order and from the first moment, but not the workers' output.
func TestEventsTellTheStory(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.serving(t)
	r.do(t, control.Command{Verb: control.Reload})
	r.awaitReady(t, 2)
	events, err := r.client.Events(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	r.do(t, control.Command{Verb: control.Stop})
	var told []string
	for {
		e, err := events.Next(t.Context())
		if err != nil {
			break // the master has ended, and with it the stream
		}
		told = append(told, e.Message)
	}
	r.mustExit(t, 0)
	<-r.log.ended
	logged, _ := r.log.find(false, func(e entry) bool {
		return e.text("level") != "debug" && (e.text("component") == "master" || e.text("component") == "worker")
	})
	var want []string
	for _, e := range logged {
		want = append(want, e.text("msg"))
	}
	// The very last ones may not reach a follower any more: see control.Server.
	if len(told) > len(want) || !slices.Equal(told, want[:len(told)]) {
		t.Errorf("the events are %q, want what the log says: %q", told, want)
	}
	for _, msg := range []string{"start began", "start done", "reload began", "reload done"} {
		if !slices.Contains(told, msg) {
			t.Errorf("no event %q", msg)
		}
	}
}

// TestFloodDoesNotDrownTheEvents: followers are for what happens, and a worker
// that writes a lot would drop them all.
func TestFloodDoesNotDrownTheEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.start(t)
	r.awaitReady(t, 2)
	events, err := r.client.Events(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	r.behave(t, 1, "print stdout lines 2000000")
	r.do(t, control.Command{Verb: control.Reload})
	r.log.awaitOutput(t, printedEnd)
	r.Signal(t, syscall.SIGTTIN)
	for {
		e, err := events.Next(t.Context())
		if err != nil {
			t.Fatalf("the stream ended before the scale: %v", err)
		}
		if e.Message == "scale done" {
			return
		}
	}
}

// TestQuestionsAfterTheEnd are answered too: nobody is left waiting.
func TestQuestionsAfterTheEnd(t *testing.T) {
	t.Parallel()
	m := newMaster(Options{})
	close(m.ended)
	if _, err := m.Status(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Status: %v, want os.ErrClosed", err)
	}
	for n := range 2 * eventsMax { // more than the channel holds
		answer, err := m.Do(context.Background(), control.Command{Verb: control.Reload})
		if err != nil || answer.Result != control.ResultFailed || answer.Error != "the master has stopped" {
			t.Fatalf("Do number %d: %+v, %v; want failed, because the master has stopped", n, answer, err)
		}
		m.post(supervise.Tick{})
	}
}

// TestWhoGoesIsForgotten: a caller that leaves before the answer costs nothing.
func TestWhoGoesIsForgotten(t *testing.T) {
	t.Parallel()
	m := newMaster(Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Do(ctx, control.Command{Verb: control.Reload}); !errors.Is(err, context.Canceled) {
		t.Errorf("Do: %v, want context.Canceled", err)
	}
	if _, err := m.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Status: %v, want context.Canceled", err)
	}
	requested, left := (<-m.loop.events).(supervise.ReloadRequested), (<-m.loop.events).(supervise.CallerLeft)
	if requested.Caller != left.Caller || len(m.callers.waiting) != 0 {
		t.Errorf("caller %d asked and %d left, %d are remembered; want one caller and none remembered", requested.Caller, left.Caller, len(m.callers.waiting))
	}
	m.callers.answer(supervise.Answer{Caller: requested.Caller}, supervise.Status{}, nil) // blocks nobody
}

func TestEventForCommand(t *testing.T) {
	t.Parallel()
	const id = 7
	for _, test := range []struct {
		name string
		cmd  control.Command
		want supervise.Event
		err  string
	}{
		{name: "reload", cmd: control.Command{Verb: control.Reload, Timeout: time.Second}, want: supervise.ReloadRequested{Caller: id, Timeout: time.Second}},
		{name: "upgrade", cmd: control.Command{Verb: control.Upgrade}, want: supervise.UpgradeRequested{Caller: id}},
		{name: "stop", cmd: control.Command{Verb: control.Stop, Now: true}, want: supervise.StopRequested{Caller: id, Now: true}},
		{name: "reopen", cmd: control.Command{Verb: control.Reopen}, want: supervise.ReopenRequested{Caller: id}},
		{name: "scale", cmd: control.Command{Verb: control.Scale, Workers: "4"}, want: supervise.ScaleRequested{Caller: id, Workers: 4}},
		{name: "scale up", cmd: control.Command{Verb: control.Scale, Workers: "+2"}, want: supervise.ScaleRequested{Caller: id, Relative: true, Delta: 2}},
		{name: "scale down", cmd: control.Command{Verb: control.Scale, Workers: "-1"}, want: supervise.ScaleRequested{Caller: id, Relative: true, Delta: -1}},
		{name: "scale to no number", cmd: control.Command{Verb: control.Scale, Workers: "many"}, err: `workers is "many"`},
		{name: "scale to too many", cmd: control.Command{Verb: control.Scale, Workers: "1025"}, err: "up to 1024"},
		{name: "scale down too far", cmd: control.Command{Verb: control.Scale, Workers: "-1025"}, err: "up to 1024"},
		{name: "unknown", cmd: control.Command{Verb: "dance"}, err: `unknown command "dance"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := eventFor(test.cmd, id)
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, test.want, test.err)
			}
		})
	}
}
