package master

import (
	"os"
	"strings"
	"testing"

	"prefork/internal/testproc"
	"prefork/master/control"
)

// startStuck starts a master whose log nobody reads, and waits until it is full.
func (r *rig) startStuck(t testing.TB) (reader *os.File) {
	t.Helper()
	r.orders.Frozen = true
	r.order(t)
	r.behave(t, 1, "print stdout lines 5000000")
	reader, writer := mustNarrowPipe(t)
	r.startWith(t, writer, testproc.Impersonate(t, masterCommand, r.path))
	r.awaitReady(t, 2)
	return reader
}

// TestStuckLogReader: the master goes on, and tells what is missing as soon as
// somebody reads again.
func TestStuckLogReader(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	reader := r.startStuck(t)
	for range 3 {
		if got := r.do(t, control.Command{Verb: control.Reload}); got.Result != control.ResultOK {
			t.Errorf("reload: %+v, want ok", got)
		}
		mustServe(t, r.awaitReady(t, 2))
	}
	r.log = follow(t, reader)
	line := r.log.awaitThat(t, missingText, false, func(e entry) bool { return strings.Contains(e.text("msg"), missingText) })
	line.mustSay(t, "level", "warning")
	line.mustSay(t, "component", "log")
	r.do(t, control.Command{Verb: control.Scale, Workers: "3"})
	r.log.await(t, "scale done", noSlot)
	r.stop(t)
}

// TestStopWithAStuckLogReader does not wait for it for ever.
func TestStopWithAStuckLogReader(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.startStuck(t)
	r.stop(t)
}

// TestFullDisk: a log that cannot be written costs lines and nothing else.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.orders.LogFile = t.TempDir() + "/log"
	if err := os.Symlink("/dev/full", r.orders.LogFile); err != nil {
		t.Fatal(err)
	}
	mustServe(t, r.serving(t))
	if err := os.Remove(r.orders.LogFile); err != nil {
		t.Fatal(err)
	}
	r.do(t, control.Command{Verb: control.Reopen})
	r.do(t, control.Command{Verb: control.Scale, Workers: "3"})
	r.stop(t)
	text := mustRead(t, r.orders.LogFile)
	if !strings.Contains(text, missingText) || !strings.Contains(text, "scale done") {
		t.Errorf("the log says %q, want what is missing, and what happened since", text)
	}
}
