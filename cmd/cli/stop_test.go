package cli

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"prefork/internal/testproc"
)

func readAll(t *testing.T, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("read answer: %v (after %q)", err, b)
	}
	return string(b)
}

// halfRead opens connections on which half a request was sent, and makes sure
// that the workers have them.
func halfRead(t *testing.T, m *testproc.Master, address string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = connect(t, address)
		fmt.Fprint(conns[i], "GET / HTTP/1.1\r\nHost: x\r\nX-Ha")
	}
	m.AwaitStatus(t, "the connections to be accepted", func(s testproc.Status) bool {
		var held uint64
		for _, w := range s.Workers {
			held += w.Connections
		}
		return held == uint64(n)
	})
	return conns
}

func TestStopFinishesRequests(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			m, st := ready(t, "--workers", "2")
			conns := halfRead(t, m, addr(st), 8)
			m.Signal(t, sig)
			m.AwaitState(t, "stopping")
			for _, c := range conns {
				fmt.Fprint(c, "lf: y\r\n\r\n")
				if a := readAll(t, c); !strings.Contains(a, "200 OK") || !strings.Contains(a, "hello from slot") {
					t.Errorf("a request that was half read at the stop got %q, want an answer", a)
				}
			}
			if state := m.AwaitExit(t); state.ExitCode() != 0 {
				t.Errorf("master ended with %v, want exit code 0", state)
			}
		})
	}
}

func TestStopCommandReturnsWhenTheMasterHasGone(t *testing.T) {
	t.Parallel()
	m, st := ready(t, "--workers", "2")
	if r := m.Run(t, "stop"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "stopped") {
		t.Errorf("stop: %v", r)
	}
	if got := testproc.Listeners(t, port(t, st)); got != 0 {
		t.Errorf("%d listening sockets after stop, want 0", got)
	}
	if state := m.AwaitExit(t); state.ExitCode() != 0 {
		t.Errorf("master ended with %v, want exit code 0", state)
	}
}

func TestDrainTimeoutEndsTheRest(t *testing.T) {
	t.Parallel()
	m, st := ready(t, "--workers", "1", "--drain-timeout", "1s", "--header-timeout", "60s")
	c := halfRead(t, m, addr(st), 1)[0]
	m.Signal(t, syscall.SIGTERM)
	m.AwaitLine(t, "drain-timeout")
	if state := m.AwaitExit(t); state.ExitCode() != 0 {
		t.Errorf("master ended with %v, want exit code 0", state)
	}
	if b, _ := io.ReadAll(c); len(b) != 0 { // closed or reset, but not answered
		t.Errorf("half a request got %q", b)
	}
}

func TestStopAtOnceWaitsForNobody(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*testing.T, *testproc.Master){
		"stop --now": func(t *testing.T, m *testproc.Master) {
			if r := m.Run(t, "stop", "--now"); r.Code != 0 {
				t.Errorf("stop --now: %v", r)
			}
		},
		"INT": func(t *testing.T, m *testproc.Master) { m.Signal(t, syscall.SIGINT) },
		"INT after TERM": func(t *testing.T, m *testproc.Master) {
			m.Signal(t, syscall.SIGTERM)
			m.AwaitState(t, "stopping")
			m.Signal(t, syscall.SIGINT)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, st := ready(t, "--workers", "2", "--header-timeout", "60s")
			halfRead(t, m, addr(st), 2)
			stop(t, m)
			m.AwaitExit(t) // well inside the 30 s of drain-timeout: Patience is as long
		})
	}
}

func TestWinchDrainsAndHangupBringsBack(t *testing.T) {
	t.Parallel()
	m, st := ready(t, "--workers", "2") // started without a terminal
	m.Signal(t, syscall.SIGWINCH)
	m.AwaitStatus(t, "nobody to be left", func(s testproc.Status) bool { return s.State == "drained" && len(s.Workers) == 0 })
	if got := testproc.Listeners(t, port(t, st)); got != 2 {
		t.Errorf("%d listening sockets while drained, want 2", got)
	}
	c := connect(t, addr(st)) // waits in the queue
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	m.Signal(t, syscall.SIGHUP)
	if a := readAll(t, c); !strings.Contains(a, "200 OK") {
		t.Errorf("a connection that waited while drained got %q", a)
	}
	m.Signal(t, syscall.SIGWINCH)
	m.AwaitState(t, "drained")
	m.Signal(t, syscall.SIGTTIN)
	m.AwaitStatus(t, "the workers to be back", func(s testproc.Status) bool { return s.State == "serving" && len(s.Ready()) == 2 })
}
