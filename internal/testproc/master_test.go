package testproc

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestPrefork(t *testing.T) {
	t.Parallel()
	m := Prefork(t, "--workers", "2")
	status := m.AwaitState(t, "serving")
	if status.PID != m.PID() || len(status.Ready()) != 2 || len(m.Descendants(t)) != 2 {
		t.Errorf("want pid %d and 2 ready workers, have descendants %v and status %+v", m.PID(), m.Descendants(t), status)
	}
	address, err := netip.ParseAddrPort(status.Listen[0].Address)
	check(t, err)
	Await(t, "a listener for each slot", func() bool { return Listeners(t, int(address.Port())) == 2 })
	if got := m.Run(t, "scale", "1"); got.Code != 0 {
		t.Errorf("scale: %s", got)
	}
	m.AwaitStatus(t, "one worker", func(s Status) bool { return len(s.Workers) == 1 })
	// The end of the test stops it, and fails if anything is left.
}

func TestPreforkKilled(t *testing.T) {
	t.Parallel()
	m := Prefork(t, "--workers", "2")
	m.AwaitState(t, "serving")
	m.Signal(t, syscall.SIGKILL)
	m.AwaitExit(t)
	if got := m.Descendants(t); len(got) != 2 {
		t.Errorf("workers that outlive the master: got %v, want 2", got)
	}
	// The end of the test ends them without complaint.
}

func TestPreforkOnTerminal(t *testing.T) {
	t.Parallel()
	m, term := PreforkOnTerminal(t, "--workers", "1")
	m.AwaitState(t, "serving")
	term.Type(t, "\x03")
	if got := m.AwaitExit(t).ExitCode(); got != 0 {
		t.Errorf("exit code after ^C: got %d, want 0", got)
	}
}

// stop must notice what an orderly end leaves; a program that is not prefork
// plays one that forgets.
func TestMasterStopFindsLeftovers(t *testing.T) {
	t.Parallel()
	control := SocketDir(t) + "/control.sock"
	check(t, os.WriteFile(control, nil, 0o600))
	m := &Master{Process: Start(t, Impersonate(t, cmdLeaveOrphan.Name, "told")), Control: control}
	m.AwaitLine(t, "holding")
	var complaints recorder
	m.stop(&complaints)
	for _, part := range []string{"left processes behind", "left its control socket"} {
		if !strings.Contains(complaints.text, part) {
			t.Errorf("complaints lack %q: %q", part, complaints.text)
		}
	}
}

func TestSaysListen(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args string
		want bool
	}{
		"nothing":         {args: "", want: false},
		"short":           {args: "-w 2 -l :80", want: true},
		"long":            {args: "--listen :80", want: true},
		"long with value": {args: "--listen=:80", want: true},
		"others":          {args: "--log-level debug", want: false},
		"of the command":  {args: "-w 2 -- server -l :80", want: false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := saysListen(strings.Fields(test.args)); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	good := Result{Stdout: `{"state":"serving","workers":[{"slot":0,"state":"ready"},{"slot":1,"state":"starting"}]}`}
	if got, err := parseStatus(good); err != nil || got.State != "serving" || len(got.Ready()) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, bad := range map[string]Result{
		"failed":   {Code: 1, Stderr: "no"},
		"not JSON": {Stdout: "master web"},
	} {
		if _, err := parseStatus(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
