package master

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/master/control"
)

// TestReloadDuringAShortage: without descriptors for new workers a reload waits,
// says so, and goes on when there are some again. Whoever serves does not notice.
func TestReloadDuringAShortage(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.orders.Frozen = true
	before := r.serving(t)
	limit := mustLimit(t, r.PID(), 8) // fewer than it has
	r.Signal(t, syscall.SIGHUP)       // the control socket cannot take anybody now
	for slot := range 2 {
		line := r.log.await(t, "worker is waiting", slot)
		line.mustSay(t, "reason", "too many open files")
		line.mustSay(t, "level", "warning")
	}
	for _, w := range before.Workers {
		mustAsk(t, before.Listen[0].Address)
		mustBeAlive(t, w)
	}
	mustLimit(t, r.PID(), limit)
	r.log.await(t, "reload done", noSlot)
	after := r.awaitReady(t, 2)
	if after.Generation != 2 || after.LastReload.Result != control.ResultOK {
		t.Errorf("the status is %+v, want generation 2", after)
	}
	mustServe(t, after)
	if got, most := descriptors(t, r.PID()), descriptorsMost(2); got > most {
		t.Errorf("the master has %d descriptors, want %d at most", got, most)
	}
}

// TestScaleDuringAShortage: sockets that cannot be opened end a scale, and none
// of them is left.
func TestScaleDuringAShortage(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	before := r.serving(t)
	limit := mustLimit(t, r.PID(), 8)
	r.Signal(t, syscall.SIGTTIN)
	line := r.log.await(t, "scale rolled back", noSlot)
	line.mustSay(t, "reason", "too many open files")
	line.mustSay(t, "level", "error")
	mustLimit(t, r.PID(), limit)
	mustBeTheSame(t, r.awaitReady(t, 1), before)
	if got := r.do(t, control.Command{Verb: control.Scale, Workers: "+1"}); got.Result != control.ResultOK || got.Workers != 2 {
		t.Errorf("scale: %+v, want ok with 2 workers", got)
	}
	mustServe(t, r.awaitReady(t, 2))
}

// TestReplacementDuringAShortage: the same for a worker that has died.
func TestReplacementDuringAShortage(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	before := r.serving(t)
	limit := mustLimit(t, r.PID(), 8)
	mustKill(t, before.Workers[1])
	line := r.log.awaitThat(t, "a spawn that failed", false, func(e entry) bool {
		return e.number("slot") == 1 && e.text("reason") != "" && e.text("state_from") == "starting"
	})
	line.mustSay(t, "reason", "too many open files")
	r.log.await(t, "worker is waiting", 1).mustSay(t, "reason", "next start in")
	mustLimit(t, r.PID(), limit)
	after := r.awaitReady(t, 2)
	mustBeTheSame(t, control.Status{Workers: after.Workers[:1]}, control.Status{Workers: before.Workers[:1]})
	mustServe(t, after)
}

// mustLimit sets how many descriptors a process may have and returns how many it
// could have before.
func mustLimit(t testing.TB, pid int, soft uint64) (before uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	before, limit.Cur = limit.Cur, soft
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	return before
}

func mustBeAlive(t testing.TB, w control.WorkerStatus) {
	t.Helper()
	if err := syscall.Kill(w.PID, 0); err != nil {
		t.Errorf("worker %d: %v, want it to serve on", w.PID, err)
	}
}
