package cli

import (
	"strings"
	"testing"

	"prefork/internal/testproc"
)

func TestTerminalSaysThreeLines(t *testing.T) {
	t.Parallel()
	m, _ := testproc.PreforkOnTerminal(t, "--workers", "1")
	m.AwaitLine(t, "stop:")
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(m.Output(), "\r", "")), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), m.Output())
	}
	for i, part := range []string{"serves hello on http://127.0.0.1:", "reload: kill -HUP ", "stop:   press ^C"} {
		if !strings.Contains(lines[i], part) {
			t.Errorf("line %d is %q and does not say %q", i+1, lines[i], part)
		}
	}
}

func TestInterruptOnATerminal(t *testing.T) {
	t.Parallel()
	m, terminal := testproc.PreforkOnTerminal(t, "--workers", "1", "--header-timeout", "60s")
	st := m.AwaitState(t, "serving")
	halfRead(t, m, addr(st), 1)
	terminal.Type(t, "\x03")
	m.AwaitState(t, "stopping") // graceful: the half request holds it
	terminal.Type(t, "\x03")
	m.AwaitExit(t)
}

func TestResizedWindowChangesNothing(t *testing.T) {
	t.Parallel()
	m, terminal := testproc.PreforkOnTerminal(t, "--workers", "1")
	st := m.AwaitState(t, "serving")
	for n := range uint16(5) {
		terminal.Resize(t, 30+n, 100+n)
	}
	if r := m.Run(t, "scale", "+1"); r.Code != 0 { // comes after the signals, which the kernel sent at once
		t.Fatalf("scale: %v", r)
	}
	after := m.Status(t)
	if after.State != "serving" || pids(after)[0] != pids(st)[0] {
		t.Errorf("state %s and pids %v after a resize, want serving and %v", after.State, pids(after), pids(st))
	}
}

func TestClosedTerminalStopsGracefully(t *testing.T) {
	t.Parallel()
	m, terminal := testproc.PreforkOnTerminal(t, "--workers", "1")
	m.AwaitState(t, "serving")
	terminal.HangUp(t)
	if state := m.AwaitExit(t); state.ExitCode() != 0 {
		t.Errorf("master ended with %v after its terminal was closed, want exit code 0", state)
	}
}
