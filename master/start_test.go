package master

import (
	"strings"
	"testing"
	"time"

	"prefork/master/control"
)

// TestFirstGenerationFails looks at what an operator sees of a service that
// never comes up.
func TestFirstGenerationFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, behaviour string
		reason, words   string
		seen            []string // further texts of the log
	}{
		{
			name: "exits at once", behaviour: "die 3 settings.py: no such module",
			reason: "slot 0: exit code 3 before it was ready", words: "settings.py: no such module",
		},
		{
			name: "says a lot before it exits", behaviour: "die-loud 3 and so I die",
			reason: "slot 0: exit code 3 before it was ready", words: "and so I die",
		},
		{
			name: "goes into the background", behaviour: "die 0",
			reason: "slot 0: exit code 0 before it was ready: a worker must stay in the foreground, so switch off its option to go into the background",
		},
		{
			name: "never becomes ready", behaviour: "unready",
			reason: "slot 0: not ready within start-timeout 5s",
			seen:   []string{"worker is aborting"},
		},
		{
			name: "never becomes ready and ignores SIGABRT", behaviour: "unready-deaf",
			reason: "slot 0: not ready within start-timeout 5s",
			seen:   []string{"worker is aborting", "worker is killed"},
		},
		{
			name: "never says a word", behaviour: "mute",
			reason: "slot 0: not ready within start-timeout 5s",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1)
			r.orders.StartTimeout = noStartTakes // it has to ignore SIGABRT by then
			if strings.HasPrefix(test.behaviour, "die") {
				r.orders.StartTimeout = 20 * time.Second
			}
			r.orders.PIDFile = r.run + "/pid"
			r.behave(t, 0, test.behaviour)
			r.start(t)
			r.mustExit(t, 1)

			line := r.log.await(t, "start rolled back", noSlot)
			line.mustSay(t, "level", "error")
			line.mustSay(t, "last_words", test.words)
			if got := line.text("reason"); got != test.reason {
				t.Errorf("reason is %q, want %q", got, test.reason)
			}
			for _, msg := range test.seen {
				r.log.await(t, msg, 0)
			}
			early, _ := r.log.find(false, func(e entry) bool { return e.is("state is serving", noSlot) || e.text("component") == "banner" })
			if len(early) > 0 {
				t.Errorf("it was announced as serving: %v", early)
			}
		})
	}
}

// TestAskedToLeaveBeforeReady: who is asked to leave before it is
// ready does well to exit with 0.
func TestAskedToLeaveBeforeReady(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, 0, "unready")
	r.start(t)
	r.log.awaitOutput(t, "listening") // before that, SIGTERM is all that reaches it
	r.stop(t)
	r.log.await(t, "worker exited", 0).mustSay(t, "reason", "exit code 0")
	if got := r.log.await(t, "worker exited", 0).text("reason"); got != "exit code 0" {
		t.Errorf("reason is %q, want no more than the exit code", got)
	}
}

// TestStopReachesWhoNeverSaidHello: a program that does not read its channel is
// told by signal, and not only by a message that nobody reads.
func TestStopReachesWhoNeverSaidHello(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, 0, "mute")
	r.start(t)
	r.log.await(t, "worker is standby", 1)
	r.stop(t)
	r.log.await(t, "worker exited", 0).mustSay(t, "reason", "killed by SIGTERM")
}

// TestSecondMasterIsRefused: it says who is there, and does no harm to it.
func TestSecondMasterIsRefused(t *testing.T) {
	t.Parallel()
	first := newRig(t, 1)
	first.orders.PIDFile = first.run + "/pid"
	before := first.serving(t)

	second := newRig(t, 1)
	second.orders.Control, second.orders.PIDFile = first.orders.Control, first.orders.PIDFile
	second.start(t)
	second.mustExit(t, 1)
	second.log.awaitThat(t, "who holds the lock", false, func(e entry) bool {
		return e.text("level") == "error" && strings.Contains(e.text("msg"), "another master of this name runs (pid ")
	})
	if got := first.status(t); got.PID != before.PID || got.Workers[0].PID != before.Workers[0].PID {
		t.Errorf("the first master is %+v after the second one, want %+v", got, before)
	}
	if got, want := mustRead(t, first.orders.PIDFile), mustPIDText(before.PID); got != want {
		t.Errorf("the pid file says %q, want %q", got, want)
	}
}

// TestCannotStart: everything that was claimed before is given back, and the
// error says what to do.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	other := newRig(t, 1)
	address := other.serving(t).Listen[0].Address
	for _, test := range []struct {
		name  string
		spoil func(*orders)
		want  string
	}{
		{"address is taken", func(o *orders) { o.Listen = []string{address} }, address + " is taken by "},
		{"folder of the control socket", func(o *orders) { o.Control = "/proc/no-such-folder/control.sock" }, "/proc/no-such-folder"},
		{"configuration", func(o *orders) { o.HangTimeout = time.Millisecond }, "hang-timeout"},
		{"log level", func(o *orders) { o.LogLevel = "loud" }, "loud"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1)
			r.orders.PIDFile = r.run + "/pid"
			test.spoil(&r.orders)
			r.start(t)
			r.mustExit(t, 1)
			r.log.awaitThat(t, test.want, false, func(e entry) bool {
				return e.text("component") == "main" && strings.Contains(e.text("msg"), test.want)
			})
		})
	}
}

// stop asks by the control socket, as an operator does, and waits for the end.
func (r *rig) stop(t testing.TB) {
	t.Helper()
	if got := r.do(t, control.Command{Verb: control.Stop}); got.Result != control.ResultOK {
		t.Errorf("stop: %+v, want ok", got)
	}
	r.mustExit(t, 0)
}
