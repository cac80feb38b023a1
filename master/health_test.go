package master

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"prefork/internal/testproc"
	"prefork/master/config"
	"prefork/master/control"
)

const brokeProtocol = "worker broke the protocol"

// Offsets of ipc's scoreboard, version 1.
const (
	magicAt   = "0"
	versionAt = "8"
	beatAt    = "64"
)

// TestOverwrittenScoreboard: a worker can write what it likes into its own
// memory. A broken header costs it its place, gently; others do not notice.
func TestOverwrittenScoreboard(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.orders.DrainTimeout = 3 * time.Second // some samples long
	r.behaveOnce(t, 1, "scribble "+magicAt+" 0x4141414141414141")
	r.behaveOnce(t, 2, "scribble-deaf "+versionAt+" 0xffffffffffffffff")
	r.start(t)
	for slot, want := range map[int]struct{ broken, exit string }{
		1: {"magic 0x4141414141414141", "exit code 0"},
		2: {"version 4294967295", "killed by SIGKILL"},
	} {
		r.log.await(t, brokeProtocol, slot).mustSay(t, "reason", want.broken)
		r.log.await(t, "worker exited", slot).mustSay(t, "reason", want.exit)
		if got := r.log.count(brokeProtocol, slot); got != 1 {
			t.Errorf("slot %d: %d lines about it, want one", slot, got)
		}
	}
	r.log.await(t, "worker exited", 1).mustSay(t, "state_from", "draining")
	if st := r.awaitReady(t, 3); st.Workers[0].Incarnation != 1 {
		t.Error("the well-behaved worker was replaced")
	}
	if got := r.log.count("worker is aborting", noSlot); got != 0 {
		t.Errorf("%d workers were aborted, want none", got)
	}
}

// TestImpossibleHeartbeats: the value is not trusted, only that it moves. One
// that stands still is a hang, whatever it says: the end of time, a time before
// the boot, or none at all.
func TestImpossibleHeartbeats(t *testing.T) {
	t.Parallel()
	values := []string{"0x7fffffffffffffff", "0x8000000000000000", "0"}
	r := newRig(t, 1+len(values))
	r.orders.HangTimeout = config.HangTimeoutMin
	for i, value := range values {
		r.behaveOnce(t, 1+i, "scribble "+beatAt+" "+value)
	}
	r.start(t)
	for i := range values {
		line := r.log.await(t, "worker is aborting", 1+i)
		line.mustSay(t, "reason", "its event loop has stood still for hang-timeout")
	}
	st := r.awaitReady(t, 1+len(values))
	if st.Workers[0].Incarnation != 1 {
		t.Error("the well-behaved worker was replaced")
	}
	if got := r.log.count(brokeProtocol, noSlot); got != 0 {
		t.Errorf("%d lines about a broken protocol, want none", got)
	}
}

// TestHeartStops: unwell first, then SIGABRT (which lets a Go program dump its
// stacks), then a successor.
func TestHeartStops(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.orders.HangTimeout = 5 * time.Second
	r.behaveOnce(t, 1, "stall")
	r.start(t)
	r.awaitStatus(t, "an unwell worker", func(st control.Status) bool {
		return len(st.Workers) == 2 && st.Workers[1].State == "unwell" && st.Workers[0].State == "ready"
	})
	r.log.await(t, "worker is unwell", 1)
	line := r.log.await(t, "worker is aborting", 1)
	line.mustSay(t, "reason", "its event loop has stood still for hang-timeout 5s")
	line.mustSay(t, "level", "error")
	r.log.await(t, "worker exited", 1).mustSay(t, "reason", "exit code 2") // how the Go runtime ends by SIGABRT
	r.log.awaitOutput(t, "SIGABRT: abort")
	st := r.awaitReady(t, 2)
	if st.Workers[0].Incarnation != 1 {
		t.Error("the well-behaved worker was replaced")
	}
}

// TestStoppedMasterBlamesNobody: when the master itself stood still, all
// heartbeats are old, and nobody is hung.
func TestStoppedMasterBlamesNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.orders.HangTimeout = config.HangTimeoutMin
	before := r.serving(t)
	mustRunFor(t, r, 2.5) // two samples
	r.Signal(t, syscall.SIGSTOP)
	stopped := time.Now()
	// Workers that are stopped too have no excuse but the master's: they did not
	// beat in all that time.
	for _, w := range before.Workers {
		mustSignal(t, w.PID, syscall.SIGSTOP)
	}
	testproc.Await(t, "five seconds of stand-still", func() bool { return time.Since(stopped) > 5*time.Second })
	r.Signal(t, syscall.SIGCONT)
	mustRunFor(t, r, 0.3) // its loop turns again, and has taken the sample that was due
	for _, w := range before.Workers {
		mustSignal(t, w.PID, syscall.SIGCONT)
	}
	mustRunFor(t, r, 2.5) // two samples
	mustBeTheSame(t, r.awaitReady(t, 2), before)
	for _, msg := range []string{"worker is aborting", "worker is unwell", "worker exited"} {
		if got := r.log.count(msg, noSlot); got != 0 {
			t.Errorf("%d × %q in the log, want none", got, msg)
		}
	}
}

// mustRunFor waits until the master's own clock has moved on.
func mustRunFor(t testing.TB, r *rig, seconds float64) {
	t.Helper()
	from := r.status(t).UptimeSeconds
	r.awaitStatus(t, "the master's clock", func(st control.Status) bool { return st.UptimeSeconds > from+seconds })
}

func mustSignal(t testing.TB, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatalf("send %s to %s: %v", signal, strconv.Itoa(pid), err)
	}
}
