package cli

import (
	"fmt"
	"net"
	"syscall"
	"testing"

	"prefork/internal/testproc"
)

// usable checks that the master still answers, serves and stops.
func usable(t *testing.T, m *testproc.Master) {
	t.Helper()
	st := m.AwaitState(t, "serving")
	get(t, addr(st))
	if r := m.Run(t, "reload", "--timeout", "25s"); r.Code != 0 {
		t.Errorf("reload: %v", r)
	}
}

// TestAThousandControlClients holds a thousand connections to the control
// socket, some silent, some in the middle of a request, some with garbage.
func TestAThousandControlClients(t *testing.T) {
	m, _ := ready(t, "--workers", "1")
	says := []string{"", "POST /v1/relo", "\x16\x03\x01 garbage\r\n\r\n", "GET /v1/status HTTP/1.1\r\nHost: x\r\n"}
	var open int
	for n := range 1000 {
		c, err := net.Dial("unix", m.Control)
		if err != nil {
			continue // refused with a full queue: as good as an answer
		}
		defer c.Close()
		open++
		fmt.Fprint(c, says[n%len(says)]) // who was turned away at once does not hear it
	}
	if open < 64 {
		t.Errorf("only %d of 1000 clients were let in", open)
	}
	m.Signal(t, syscall.SIGTTIN) // the loop goes on, whoever holds the socket
	m.AwaitLine(t, "scale done")
	usable(t, m)
}

func TestFollowerThatDoesNotReadIsDropped(t *testing.T) {
	m, _ := ready(t, "--workers", "1")
	c, err := net.Dial("unix", m.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 300 {
		m.Signal(t, syscall.SIGTTOU) // refused at 1 worker, with a line each
	}
	usable(t, m)
}

func TestSignalStorm(t *testing.T) {
	m, _ := ready(t, "--workers", "2")
	storm := []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTTIN, syscall.SIGUSR2, syscall.SIGTTOU, syscall.SIGHUP}
	for n := range 600 {
		m.Signal(t, storm[n%len(storm)])
	}
	usable(t, m)
}
