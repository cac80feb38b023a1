package master

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/internal/testproc"
	"prefork/master/control"
)

// newGreetingRig is a rig whose workers are a COMMAND that turns out to speak our
// protocol: the fake workers. Who only lives counts as ready soon.
func newGreetingRig(t testing.TB, workers int) *rig {
	t.Helper()
	r := newRig(t, workers)
	r.orders.Command = testproc.ImpersonateArgv(t, workerCommand, r.orders.Dir)
	r.orders.ReadyAfter = 200 * time.Millisecond
	return r
}

// TestCommandThatSaysHello lives the life of a built-in worker: it is counted, told
// to help, watched, and told to leave by message.
func TestCommandThatSaysHello(t *testing.T) {
	t.Parallel()
	r := newGreetingRig(t, 3)
	st := r.serving(t)
	for _, watches := range []string{"slot 0 watches slot 1", "slot 0 watches slot 2", "slot 2 watches slot 1"} {
		r.awaitBegins(t, watches, 1)
	}
	if st = r.status(t); st.Helpers != 2 {
		t.Errorf("helpers is %d, want 2", st.Helpers)
	}
	r.askOnce(t, st)
	r.awaitStatus(t, "one connection counted", func(st control.Status) bool {
		return st.Workers[0].Accepted+st.Workers[1].Accepted+st.Workers[2].Accepted == 1
	})
	r.behave(t, "all", "messages-only")
	for range 2 { // the second one's predecessors hear messages only
		if a := r.do(t, control.Command{Verb: control.Reload}); a.Result != "ok" {
			t.Fatalf("reload: %+v", a)
		}
	}
	r.awaitStatus(t, "generation 3 alone", func(st control.Status) bool { return st.Generation == 3 && len(st.Workers) == 3 })
	if r.log.has("worker exited", "killed by SIGKILL") {
		t.Error("a worker that listens to messages was not told to leave by one")
	}
}

// TestCommandThatSaysHelloIsReadyByItsWord: to live is not enough, nor is READY=1, and
// until all of its generation could serve it must not.
func TestCommandThatSaysHelloIsReadyByItsWord(t *testing.T) {
	t.Parallel()
	for name, ready := range map[string]struct {
		notify bool
		after  time.Duration
	}{
		"and not by its life": {after: noStartTakes}, // by then it has said hello
		"and not by READY=1":  {notify: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newGreetingRig(t, 2)
			r.orders.StartTimeout = noStartTakes + time.Second
			r.orders.ReadyNotify, r.orders.ReadyAfter = ready.notify, ready.after
			r.behave(t, 1, "unready-notify")
			r.start(t)
			r.mustExit(t, 1)
			if !r.log.has("start rolled back", "not ready within start-timeout 6s") || r.log.has("start rolled back", "READY=1") {
				t.Error("the log does not say why, or tells to say READY=1")
			}
			if found, _ := r.log.find(true, func(e entry) bool { return strings.HasPrefix(e.text("msg"), "slot 0 has ") }); len(found) > 0 {
				t.Errorf("slot 0 has served: %v", found)
			}
		})
	}
}

// TestCommandThatSaysHelloLate had counted as ready. It is told to serve when it says
// that it could, and from then on is a sibling.
func TestCommandThatSaysHelloLate(t *testing.T) {
	t.Parallel()
	r := newGreetingRig(t, 2)
	r.behave(t, 1, "after late good")
	r.serving(t)
	r.open(t, "late")
	for _, line := range []string{"slot 1 has ", "slot 0 watches slot 1", "slot 1 watches slot 0"} {
		r.awaitBegins(t, line, 1)
	}
}

// TestCommandThatSaysHelloAsItIsToldToLeave did not heed the signal, and hears it by
// message.
func TestCommandThatSaysHelloAsItIsToldToLeave(t *testing.T) {
	t.Parallel()
	r := newGreetingRig(t, 1)
	r.behave(t, "all", "messages-only "+filepath.Join(r.orders.Dir, "goodbye"))
	r.serving(t)
	r.log.awaitOutput(t, "slot 0 waits")
	r.Signal(t, syscall.SIGTERM)
	r.log.awaitOutput(t, "slot 0 does not heed signals")
	r.open(t, "goodbye")
	r.mustExit(t, 0)
	if !r.log.has("worker exited", "exit code 0") {
		t.Error("the worker was not told to leave by message")
	}
}

// TestSocketsOfACommandThatSaysHello block for as long as it may be a program that
// wants them so, and never again: siblings accept from them, too.
func TestSocketsOfACommandThatSaysHello(t *testing.T) {
	t.Parallel()
	r := newGreetingRig(t, 2)
	r.behave(t, "all", "describe")
	st := r.serving(t)
	first := r.awaitBegins(t, "slot 0 begins with ", 1)
	r.awaitBegins(t, "slot 1 watches slot 0", 1)
	if err := syscall.Kill(st.Workers[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := r.awaitBegins(t, "slot 0 begins with ", 2)
	if want := strings.TrimSuffix(first, "(blocks)"); want == first || second != want {
		t.Errorf("%q, and after a death %q, want the same socket, which blocked only at first", first, second)
	}
	r.awaitReady(t, 2)
}

// awaitBegins waits until so many lines of workers begin with a text, and returns
// the last.
func (r *rig) awaitBegins(t testing.TB, text string, lines int) (line string) {
	t.Helper()
	testproc.Await(t, text, func() bool {
		found, _ := r.log.find(true, func(e entry) bool { return strings.HasPrefix(e.text("msg"), text) })
		if len(found) == lines {
			line = found[lines-1].text("msg")
		}
		return len(found) >= lines
	})
	return line
}

// TestChannelOfAProgramThatDoesNotKnowIt: whatever it does with that, it is the
// foreign program that it was.
func TestChannelOfAProgramThatDoesNotKnowIt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, behaviour, complaint string }{
		{"closes it", "close-channel", ""},
		{"writes to it", "write-channel GET / HTTP/1.1", "what it wrote to PREFORK_IPC is no hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newForeignRig(t, 1)
			r.orders.ReadyAfter = 2 * endTimeout
			r.behave(t, "all", test.behaviour)
			st := r.serving(t) // longer than a worker of ours could live on without its channel
			r.askOnce(t, st)
			if a := r.do(t, control.Command{Verb: control.Reload}); a.Result != "ok" {
				t.Errorf("reload: %+v", a)
			}
			if r.log.count("worker broke the protocol", 0) > 0 {
				t.Error("it counts as one that broke the protocol")
			}
			if got := r.log.has("worker's notification has no effect", test.complaint); got != (test.complaint != "") {
				t.Errorf("complaint %q: %v", test.complaint, got)
			}
		})
	}
}
