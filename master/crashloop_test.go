package master

import (
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"prefork/master/control"
)

// TestCrashLoopBacksOff: a worker that dies as soon as it serves is started again
// more and more rarely; its siblings serve on.
func TestCrashLoopBacksOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	before := r.serving(t)
	r.behave(t, 1, "young")
	mustKill(t, before.Workers[1])
	wait := regexp.MustCompile(`number (\d+), next start in (\S+)$`)
	var waits []time.Duration
	for number := range 4 {
		line := r.log.awaitThat(t, "a longer wait", false, func(e entry) bool {
			found := wait.FindStringSubmatch(e.text("reason"))
			return e.is("worker is waiting", 1) && found != nil && mustNumber(found[1]) == number+1
		})
		d, err := time.ParseDuration(wait.FindStringSubmatch(line.text("reason"))[2])
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, d)
	}
	if !slices.IsSorted(waits) || waits[3] < 400*time.Millisecond {
		t.Errorf("the waits are %v, want each about twice the one before", waits)
	}
	st := r.awaitStatus(t, "a slot that waits", func(st control.Status) bool { return st.Workers[1].State == "waiting" })
	if w := st.Workers[1]; w.PID != 0 || w.RetryInSeconds <= 0 || w.Restarts < 4 {
		t.Errorf("the slot is %+v, want no pid, a time to the next start and its restarts", w)
	}
	if st.State != "serving" {
		t.Errorf("the state is %s, want serving", st.State)
	}
	r.behave(t, 1, "good")
	after := r.awaitReady(t, 3)
	for _, slot := range []int{0, 2} {
		if after.Workers[slot].PID != before.Workers[slot].PID {
			t.Errorf("slot %d was replaced too", slot)
		}
	}
	mustServe(t, after)
}

// TestKilledOverAndOver kills a worker as soon as it is there, and stops it too:
// others serve, and in the end all of them do.
func TestKilledOverAndOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	before := r.serving(t)
	last := uint64(0)
	for range 5 {
		st := r.awaitStatus(t, "a successor", func(st control.Status) bool {
			return len(st.Workers) == 2 && st.Workers[1].PID != 0 && st.Workers[1].Incarnation > last
		})
		last = st.Workers[1].Incarnation
		mustSignal(t, st.Workers[1].PID, syscall.SIGSTOP)
		mustKill(t, st.Workers[1])
		mustAsk(t, st.Listen[0].Address)
	}
	// The status may still show the last one that was killed.
	r.awaitStatus(t, "the last successor", func(st control.Status) bool {
		return len(st.Workers) == 2 && st.Workers[1].Incarnation > last
	})
	after := r.awaitReady(t, 2)
	if after.Workers[0].PID != before.Workers[0].PID {
		t.Error("its sibling was replaced too")
	}
	mustServe(t, after)
	if got := r.log.count("worker exited", 1); got != 5 {
		t.Errorf("%d exits in the log, want 5", got)
	}
}
