package master

import (
	"strings"
	"testing"
	"time"

	"prefork/master/control"
)

// TestDrainReachesWhoHasHungUp: a worker that has closed its channel and lives
// on is told by SIGTERM.
func TestDrainReachesWhoHasHungUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behaveOnce(t, 1, "hang-up")
	before := r.serving(t)
	mustServe(t, before) // also the one that has hung up
	if answer := r.do(t, control.Command{Verb: control.Reload}); answer.Result != control.ResultOK {
		t.Errorf("reload: %+v, want ok", answer)
	}
	r.log.awaitOutput(t, "leaving after SIGTERM")
	r.log.await(t, "worker exited", 1).mustSay(t, "reason", "exit code 0")
	r.awaitReady(t, 2)
}

// TestWhoHasHungUpIsReplaced: it would serve as an orphan, and nobody could tell it
// anything. It costs one line and a gentle replacement.
func TestWhoHasHungUpIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behaveOnce(t, 1, "hang-up")
	mustServe(t, r.serving(t))
	r.log.await(t, brokeProtocol, 1).mustSay(t, "reason", "it has closed the channel to its master, and lives on")
	r.log.await(t, "worker is recycled", 1)
	r.log.await(t, "worker exited", 1).mustSay(t, "reason", "exit code 0")
	mustServe(t, r.awaitReady(t, 2))
}

// TestServeDoesNotReachWhoHasHungUp: a worker that cannot be told to serve never
// would. It costs one line and is replaced.
func TestServeDoesNotReachWhoHasHungUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, 0, "after gate good")
	r.behaveOnce(t, 1, "hang-up-early")
	r.start(t)
	r.log.await(t, "worker is standby", 1)
	r.open(t, "gate")
	r.log.await(t, brokeProtocol, 1).mustSay(t, "reason", "it has closed the channel to its master, and lives on")
	r.log.await(t, "worker exited", 1).mustSay(t, "reason", "exit code 0")
	mustServe(t, r.awaitReady(t, 2))
	if got := r.log.count(brokeProtocol, noSlot); got != 1 {
		t.Errorf("%d lines about it, want one", got)
	}
}

// TestDrainTimeout: who ignores both ways of asking is killed, and that is said.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.orders.DrainTimeout = time.Second
	r.behaveOnce(t, 1, "deaf")
	r.serving(t)
	asked := time.Now()
	r.do(t, control.Command{Verb: control.Stop})
	r.mustExit(t, 0)
	if took := time.Since(asked); took < time.Second {
		t.Errorf("it was stopped within %v, before drain-timeout 1s", took)
	}
	kill := r.log.await(t, "worker is killed", 1)
	kill.mustSay(t, "reason", "still busy")
	kill.mustSay(t, "level", "warning")
	r.log.await(t, "worker exited", 1).mustSay(t, "reason", "killed by SIGKILL")
	r.log.await(t, "worker exited", 0).mustSay(t, "reason", "exit code 0")
	if got := r.log.count("worker is killed", noSlot); got != 1 {
		t.Errorf("%d workers were killed, want one", got)
	}
}

// TestStopNow waits for nobody.
func TestStopNow(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, "all", "deaf")
	r.serving(t)
	if got := r.do(t, control.Command{Verb: control.Stop, Now: true}); got.Result != control.ResultOK {
		t.Errorf("stop --now: %+v, want ok", got)
	}
	r.mustExit(t, 0)
	for slot := range 2 {
		r.log.await(t, "worker is killed", slot).mustSay(t, "reason", "the master stops at once")
	}
}

// TestStopDuringStart: callers who wait for something else get an answer too.
func TestStopDuringStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, 1, "unready")
	r.start(t)
	r.log.await(t, "worker is standby", 0)
	reload := r.doLater(t, control.Command{Verb: control.Reload})
	r.log.await(t, "the configuration is read again", noSlot)
	r.stop(t)
	if got := <-reload; got.Result != control.ResultFailed || !strings.Contains(got.Error, "the master is stopping") {
		t.Errorf("the answer is %+v, want failed because the master is stopping", got)
	}
}
