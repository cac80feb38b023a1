package testproc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// exitNoMaster is how prefork says that no master is there (yet).
	exitNoMaster = 3
	// statusInterval is how often a status is asked for; each time is a process.
	statusInterval = 20 * time.Millisecond
)

// Master is a `prefork run` that a test started.
type Master struct {
	*Process
	// Control is the path of its control socket, in a folder of its own.
	Control string
	binary  string // what it was started from; empty: Binary
}

// Prefork starts `prefork run` with a control socket of its own, on a free port
// of 127.0.0.1 unless the arguments say --listen or -l. It does not wait until it
// serves: see AwaitState.
//
// When the test ends, a master that still runs is told to stop, and must do so
// within Patience, leaving neither a process nor its control socket. What a
// killed master leaves is ended without complaint.
func Prefork(t testing.TB, args ...string) *Master {
	t.Helper()
	return PreforkOf(t, Binary(t), args...)
}

// PreforkTrial is Prefork with the binary that [Trial] builds.
func PreforkTrial(t testing.TB, args ...string) *Master {
	t.Helper()
	return PreforkOf(t, Trial(t), args...)
}

// PreforkOf is Prefork for a program that is its own master.
func PreforkOf(t testing.TB, binary string, args ...string) *Master {
	t.Helper()
	cmd, control := preforkRun(t, binary, freePort(args))
	return adopt(t, Start(t, cmd), control)
}

// PreforkAsConfigured is Prefork where a configuration file says the addresses.
func PreforkAsConfigured(t testing.TB, args ...string) *Master {
	t.Helper()
	cmd, control := preforkRun(t, Binary(t), args)
	return adopt(t, Start(t, cmd), control)
}

// PreforkOnTerminal is Prefork with a controlling terminal.
func PreforkOnTerminal(t testing.TB, args ...string) (*Master, *Terminal) {
	t.Helper()
	cmd, control := preforkRun(t, Binary(t), freePort(args))
	terminal := StartOnTerminal(t, cmd)
	return adopt(t, terminal.Process, control), terminal
}

func preforkRun(t testing.TB, binary string, args []string) (cmd *exec.Cmd, control string) {
	t.Helper()
	control = filepath.Join(SocketDir(t), "control.sock")
	return exec.Command(binary, append([]string{"run", "--control", control}, args...)...), control
}

// freePort adds an address to arguments that say none.
func freePort(args []string) []string {
	if saysListen(args) {
		return args
	}
	return append([]string{"--listen", "127.0.0.1:0"}, args...)
}

func adopt(t testing.TB, p *Process, control string) *Master {
	m := &Master{Process: p, Control: control, binary: p.cmd.Path}
	t.Cleanup(func() { m.stop(t) }) // runs BEFORE the process's own cleanup, which kills
	return m
}

// saysListen looks at prefork's own arguments, which end before a COMMAND.
func saysListen(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.ContainsFunc(args, func(arg string) bool {
		name, _, _ := strings.Cut(arg, "=")
		return name == "-l" || name == "--listen"
	})
}

// stop ends the master and checks that it left nothing.
func (m *Master) stop(t testing.TB) {
	if !m.Exited() {
		_ = m.cmd.Process.Signal(syscall.SIGTERM) // it may just have ended
	}
	state := m.AwaitExit(t)
	if !state.Exited() {
		return // killed: it had no chance to leave an orderly house
	}
	if left := m.Descendants(t); len(left) > 0 {
		t.Errorf("prefork (%s) left processes behind: %v", state, left)
	}
	if _, err := os.Lstat(m.Control); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("prefork (%s) left its control socket %s behind (lstat: %v)", state, m.Control, err)
	}
}

// Run runs `prefork VERB … --control …` for this master, to its end.
func (m *Master) Run(t testing.TB, verb string, args ...string) Result {
	t.Helper()
	binary := m.binary
	if binary == "" {
		binary = Binary(t)
	}
	return Run(t, exec.Command(binary, append([]string{verb, "--control", m.Control}, args...)...))
}

// Status is what `prefork status --json` says. A master that cannot be asked
// fails the test.
func (m *Master) Status(t testing.TB) Status {
	t.Helper()
	result := m.Run(t, "status", "--json")
	status, err := parseStatus(result)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// AwaitStatus waits until the status is as wanted and returns it; what completes
// the sentence "waiting for …". A master that ends fails the test at once.
func (m *Master) AwaitStatus(t testing.TB, what string, wanted func(Status) bool) Status {
	t.Helper()
	var status Status
	awaitEvery(t, statusInterval, what, func() bool {
		if m.Exited() {
			t.Fatalf("waiting for %s: prefork has ended: %s", what, m.cmd.ProcessState)
		}
		result := m.Run(t, "status", "--json")
		if result.Code == exitNoMaster {
			return false // not there yet
		}
		var err error
		if status, err = parseStatus(result); err != nil {
			t.Fatal(err)
		}
		return wanted(status)
	})
	return status
}

// AwaitState waits for a state: "serving" is when the first generation is ready.
func (m *Master) AwaitState(t testing.TB, state string) Status {
	t.Helper()
	return m.AwaitStatus(t, "state "+state, func(s Status) bool { return s.State == state })
}

func parseStatus(result Result) (Status, error) {
	if result.Code != 0 {
		return Status{}, fmt.Errorf("prefork status: %s", result)
	}
	var status Status
	if err := json.Unmarshal([]byte(result.Stdout), &status); err != nil {
		return Status{}, fmt.Errorf("parse prefork status: %w\n%s", err, result)
	}
	return status, nil
}

// SocketDir returns a folder that the end of the test removes. Its path is short,
// unlike that of t.TempDir, which can hold the whole name of a test: a Unix
// socket's path has 108 bytes at most (unix(7)).
func SocketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(mustRun(t).dir, "s")
	if err != nil {
		t.Fatalf("make folder for sockets: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove folder for sockets: %v", err)
		}
	})
	return dir
}
