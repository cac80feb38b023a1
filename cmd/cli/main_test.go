package cli

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"prefork/internal/testproc"
)

func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }

// ready starts a master and waits until its first generation serves.
func ready(t testing.TB, args ...string) (*testproc.Master, testproc.Status) {
	t.Helper()
	m := testproc.Prefork(t, args...)
	return m, m.AwaitState(t, "serving")
}

func addr(st testproc.Status) string { return st.Listen[0].Address }

func port(t *testing.T, st testproc.Status) int {
	t.Helper()
	_, p, err := net.SplitHostPort(addr(st))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pids returns the workers' PIDs by slot.
func pids(st testproc.Status) map[int]int {
	by := map[int]int{}
	for _, w := range st.Ready() {
		by[w.Slot] = w.PID
	}
	return by
}

// command runs the prefork binary with arguments of its own.
func command(t *testing.T, args ...string) testproc.Result {
	t.Helper()
	return testproc.Run(t, commandLine(t, args...))
}

func commandLine(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(testproc.Binary(t), args...)
}

// oneLine checks that a command was refused with a code and one clear line that
// holds every part.
func oneLine(t *testing.T, r testproc.Result, code int, parts ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit code %d, want %d (%v)", r.Code, code, r)
	}
	if got := strings.Count(r.Stderr, "\n"); got != 1 {
		t.Errorf("%d lines on standard error, want 1:\n%s", got, r.Stderr)
	}
	for _, part := range parts {
		if !strings.Contains(r.Stderr, part) {
			t.Errorf("standard error %q does not say %q", r.Stderr, part)
		}
	}
}

// get sends one request on a connection of its own and returns the answer.
func get(t *testing.T, address string) string {
	t.Helper()
	c := connect(t, address)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	return readAll(t, c)
}

func connect(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testproc.Patience)); err != nil {
		t.Fatal(err)
	}
	return c
}
