package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

func TestHelloSaysWhoAnswered(t *testing.T) {
	t.Parallel()
	_, st := ready(t, "--workers", "1", "--identify")
	w := st.Workers[0]
	answer := get(t, addr(st))
	for _, part := range []string{
		"HTTP/1.1 200 OK", "Content-Type: text/plain",
		fmt.Sprintf("hello from slot 0 generation 1 pid %d\n", w.PID),
		fmt.Sprintf("Prefork-Worker: slot=0 incarnation=%d generation=1 pid=%d", w.Incarnation, w.PID),
	} {
		if !strings.Contains(answer, part) {
			t.Errorf("the answer does not hold %q:\n%s", part, answer)
		}
	}
}

func TestEchoApp(t *testing.T) {
	t.Parallel()
	_, st := ready(t, "--workers", "1", "--app", "echo")
	c := connect(t, addr(st))
	fmt.Fprint(c, "what comes in goes out\n")
	b := make([]byte, 64)
	n, err := c.Read(b)
	if got := string(b[:n]); got != "what comes in goes out\n" || err != nil {
		t.Errorf("echo gave %q, %v", got, err)
	}
}

func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	_, st := ready(t, "--workers", "2", "-l", "127.0.0.1:0", "-l", "[::1]:0")
	if len(st.Listen) != 2 {
		t.Fatalf("listens on %v, want two addresses", st.Listen)
	}
	for _, l := range st.Listen {
		if a := get(t, l.Address); !strings.Contains(a, "hello from slot") {
			t.Errorf("%s answers %q", l.Address, a)
		}
	}
}

func TestAutoIsAWorkerForEachCPU(t *testing.T) {
	t.Parallel()
	var mask unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mask); err != nil {
		t.Fatal(err)
	}
	m, st := ready(t)
	if got := len(st.Ready()); got < 1 || got > mask.Count() {
		t.Errorf("%d workers on %d CPUs", got, mask.Count())
	}
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Errorf("reload with --workers auto: %v", r)
	}
}

func TestPortTakenByAPlainSocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := testproc.SocketDir(t)
	r := command(t, "run", "--control", filepath.Join(dir, "c.sock"), "-l", l.Addr().String())
	oneLine(t, r, 1, l.Addr().String(), "taken by", fmt.Sprintf("pid %d", os.Getpid()), "--listen")
	nothingIn(t, dir)
}

func TestPortTakenByAnotherMaster(t *testing.T) {
	t.Parallel()
	m, st := ready(t, "--workers", "1")
	dir := testproc.SocketDir(t)
	r := command(t, "run", "--control", filepath.Join(dir, "c.sock"), "-l", addr(st))
	oneLine(t, r, 1, addr(st), "taken by", "prefork", "pid ")
	nothingIn(t, dir)
	if got := m.Status(t).State; got != "serving" {
		t.Errorf("the first master is %s, want serving", got)
	}
}

func TestSecondMasterOfTheSameName(t *testing.T) {
	t.Parallel()
	m, _ := ready(t, "--workers", "1")
	r := command(t, "run", "--control", m.Control, "-l", "127.0.0.1:0")
	oneLine(t, r, 1, "another master of this name", fmt.Sprint(m.PID()))
	if got := m.Status(t).State; got != "serving" {
		t.Errorf("the first master is %s, want serving", got)
	}
}

// nothingIn checks that a start that failed left nothing in its folder.
func nothingIn(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left behind", e.Name())
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		says []string
	}{
		{"unknown flag", []string{"run", "--wrokers", "4"}, []string{"--wrokers", "--workers"}},
		{"unknown command", []string{"satrt"}, []string{"satrt"}},
		{"no port", []string{"run", "-l", "127.0.0.1"}, []string{"--listen", "127.0.0.1", "port"}},
		{"host name", []string{"run", "-l", "example.org:80"}, []string{"example.org", "IP address"}},
		{"zero workers", []string{"run", "-w", "0"}, []string{"--workers", `"0"`}},
		{"too many workers", []string{"run", "-w", "9999"}, []string{"9999", "1024"}},
		{"time without unit", []string{"run", "--drain-timeout", "30"}, []string{"--drain-timeout", `"30"`, "30s"}},
		{"negative time", []string{"run", "--start-timeout", "-1s"}, []string{"--start-timeout", "-1s"}},
		{"unknown app", []string{"run", "--app", "helo"}, []string{"helo", "hello"}},
		{"bad size", []string{"run", "--max-body", "lots"}, []string{"--max-body", "lots"}},
		{"bad surge", []string{"run", "--surge", "200%"}, []string{"--surge", "200%"}},
		{"bad name", []string{"run", "--name", "../x"}, []string{"--name", "../x"}},
		{"bad level", []string{"run", "--log-level", "loud"}, []string{"--log-level", "loud", "debug"}},
		{"value missing", []string{"run", "--listen"}, []string{"listen"}},
		{"argument too much", []string{"status", "now"}, []string{"now", "no arguments"}},
		{"scale without number", []string{"scale"}, []string{"scale"}},
		{"scale by a word", []string{"scale", "many"}, []string{"many"}},
		{"reload with a bad time", []string{"reload", "--timeout", "soon"}, []string{"--timeout", "soon"}},
		{"control path too long", []string{"run", "--control", "/" + strings.Repeat("x", 200)}, []string{"--control", "107"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			oneLine(t, command(t, c.args...), 2, c.says...)
		})
	}
}

func TestSeveralMistakesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	r := command(t, "run", "-l", "x", "-w", "none", "--drain-timeout", "7")
	if got := strings.Count(r.Stderr, "\n"); got != 3 || r.Code != 2 {
		t.Errorf("%d lines and exit code %d, want 3 and 2:\n%s", got, r.Code, r.Stderr)
	}
}

func TestLogFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	oneLine(t, command(t, "run", "--log-file", "/nonexistent/log", "-l", "127.0.0.1:0"), 1, "/nonexistent/log", "--log-file")
}

func TestCommandsWithoutAMaster(t *testing.T) {
	t.Parallel()
	control := filepath.Join(testproc.SocketDir(t), "nobody.sock")
	for _, args := range [][]string{{"status"}, {"reload"}, {"scale", "2"}, {"stop"}, {"reopen"}, {"events"}, {"upgrade"}} {
		r := command(t, append(args, "--control", control)...)
		oneLine(t, r, 3, control, "prefork run")
	}
}

func TestStatusIsForPeopleAndPrograms(t *testing.T) {
	t.Parallel()
	m, st := ready(t, "--workers", "2", "--name", "shop")
	text := m.Run(t, "status").Stdout
	for _, part := range []string{"shop is serving: 2 ready", "listens on " + addr(st), "WORKER", fmt.Sprint(st.Workers[1].PID)} {
		if !strings.Contains(text, part) {
			t.Errorf("status does not say %q:\n%s", part, text)
		}
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(m.Run(t, "status", "--json").Stdout), &document); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"name", "pid", "version", "state", "generation", "uptime_seconds", "listen", "steering", "helpers", "workers", "last_reload"} {
		if _, ok := document[key]; !ok {
			t.Errorf("status --json has no key %q", key)
		}
	}
}

func TestReopenFollowsARenamedLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	m, _ := ready(t, "--workers", "1", "--log-file", log)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	if r := m.Run(t, "reopen"); r.Code != 0 {
		t.Fatalf("reopen: %v", r)
	}
	testproc.Await(t, "the new log file", func() bool { _, err := os.Stat(log); return err == nil })
	m.Signal(t, syscall.SIGTTIN)
	testproc.Await(t, "a line in it", func() bool {
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), "scale done")
	})
}

func TestEventsTellWhatHappened(t *testing.T) {
	t.Parallel()
	m, _ := ready(t, "--workers", "1")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	follower := testproc.Start(t, exec.CommandContext(ctx, testproc.Binary(t), "events", "--since", "1h", "--control", m.Control))
	follower.AwaitLine(t, "worker is ready")
	if r := m.Run(t, "scale", "+1"); r.Code != 0 {
		t.Fatalf("scale: %v", r)
	}
	follower.AwaitLine(t, "scale done")
	if r := m.Run(t, "stop"); r.Code != 0 {
		t.Fatalf("stop: %v", r)
	}
	if state := follower.AwaitExit(t); state.ExitCode() != 0 {
		t.Errorf("events ended with %v at the master's end, want 0", state)
	}
}
