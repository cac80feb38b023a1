package master

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"prefork/master/control"
)

// TestPIDFile: it is there before anybody can see the master serve, and gone
// with it (mustExit looks at its folder).
func TestPIDFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.orders.PIDFile = r.run + "/pid"
	r.start(t)
	r.awaitStatus(t, "an answer", func(control.Status) bool { return true })
	if got, want := mustRead(t, r.orders.PIDFile), mustPIDText(r.PID()); got != want {
		t.Errorf("the pid file says %q, want %q", got, want)
	}
	r.awaitReady(t, 1)
	r.stop(t)
}

// TestPIDFileOfAnother is left alone: somebody else has taken the path over.
func TestPIDFileOfAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.orders.PIDFile = filepath.Join(t.TempDir(), "pid")
	r.serving(t)
	mustReplace(t, r.orders.PIDFile, mustPIDText(1))
	r.stop(t)
	if got, want := mustRead(t, r.orders.PIDFile), mustPIDText(1); got != want {
		t.Errorf("the pid file says %q, want %q", got, want)
	}
}

// TestPIDFileThatCannotBeWritten ends the start, in words, before anything runs.
func TestPIDFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.orders.PIDFile = "/proc/no-such-folder/pid"
	r.start(t)
	r.mustExit(t, 1)
	r.log.awaitThat(t, "what to do", false, func(e entry) bool {
		return e.text("level") == "error" && e.text("msg") == "write pid file: open /proc/no-such-folder/pid: no such file or directory: choose another path with --pid-file, or leave it out"
	})
}

func mustPIDText(pid int) string { return fmt.Sprintf("%d\n", pid) }

func mustRead(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
