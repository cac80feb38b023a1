package testproc

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// cmdSpeak prints its arguments, one a line, the last one on stderr.
var cmdSpeak = Command{Name: "speak", Run: func(args []string) int {
	for i, arg := range args {
		if i < len(args)-1 {
			fmt.Println(arg)
		} else {
			fmt.Fprintln(os.Stderr, arg)
		}
	}
	return len(args)
}}

// cmdLeaveOrphan starts a process that holds, and ends without it. With the
// argument "told" it waits for SIGTERM before that.
var cmdLeaveOrphan = Command{Name: "leave-orphan", Run: func(args []string) int {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	child := exec.Command("/proc/self/exe", cmdHold.Name)
	child.Stdout = os.Stdout
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if slices.Contains(args, "told") {
		<-told
	}
	return 0
}}

func TestProcessOutputAndExit(t *testing.T) {
	t.Parallel()
	p := Start(t, Impersonate(t, cmdSpeak.Name, "one", "two", "three"))
	if got := p.AwaitLine(t, "wo"); got != "two" {
		t.Errorf("line: got %q, want %q", got, "two")
	}
	if got := p.AwaitExit(t).ExitCode(); got != 3 {
		t.Errorf("exit code: got %d, want 3", got)
	}
	if got, want := p.Output(), "one\ntwo\nthree\n"; got != want {
		t.Errorf("output: got %q, want %q", got, want)
	}
	if !p.Exited() {
		t.Error("Exited is false after AwaitExit")
	}
}

func TestProcessSignal(t *testing.T) {
	t.Parallel()
	p := Start(t, Impersonate(t, cmdHold.Name))
	p.AwaitLine(t, "holding")
	if p.Exited() {
		t.Fatal("Exited is true before the signal")
	}
	p.Signal(t, syscall.SIGKILL)
	if got, want := p.AwaitExit(t).String(), "signal: killed"; got != want {
		t.Errorf("exit: got %q, want %q", got, want)
	}
}

func TestProcessHasNoControllingTerminal(t *testing.T) {
	t.Parallel()
	p := Start(t, exec.Command("sh", "-c", "(: </dev/tty) 2>/dev/null || echo none"))
	p.AwaitLine(t, "none")
}

func TestDescendants(t *testing.T) {
	t.Parallel()
	p := Start(t, Impersonate(t, cmdLeaveOrphan.Name, "told"))
	other := Start(t, Impersonate(t, cmdHold.Name))
	p.AwaitLine(t, "holding")
	if got := p.Descendants(t); len(got) != 1 {
		t.Fatalf("descendants of a parent: got %v, want one", got)
	}
	p.Signal(t, syscall.SIGTERM)
	p.AwaitExit(t)
	if got := p.Descendants(t); len(got) != 1 {
		t.Fatalf("descendants after the parent's end: got %v, want one", got)
	}
	p.KillDescendants(t)
	if got := p.Descendants(t); len(got) != 0 {
		t.Errorf("descendants after KillDescendants: got %v, want none", got)
	}
	if other.Exited() {
		t.Error("KillDescendants ended a process that is no descendant")
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	got := Run(t, Impersonate(t, cmdSpeak.Name, "out", "err"))
	if want := (Result{Stdout: "out\n", Stderr: "err\n", Code: 2}); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestCleanEnvironment(t *testing.T) {
	// Not parallel: it changes the environment of this process.
	for _, name := range []string{"PREFORK_WORKERS", "LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_USEC"} {
		t.Setenv(name, "1")
	}
	t.Setenv("KEPT", "1")
	got := Run(t, exec.Command("env")).Stdout
	for _, name := range []string{"PREFORK_", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_"} {
		if strings.Contains(got, "\n"+name) {
			t.Errorf("environment has a variable %s…:\n%s", name, got)
		}
	}
	if !strings.Contains(got, "KEPT=1\n") {
		t.Errorf("environment lacks KEPT=1:\n%s", got)
	}
}

func TestTranscriptIsBounded(t *testing.T) {
	t.Parallel()
	o := newTranscript()
	chunk := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	for range transcriptMax>>20 + 2 {
		if n, err := o.Write(chunk); n != len(chunk) || err != nil {
			t.Fatalf("write: got %d, %v; want %d, nil", n, err, len(chunk))
		}
	}
	if text, _ := o.read(); len(text) != transcriptMax {
		t.Errorf("kept %d bytes, want %d", len(text), transcriptMax)
	}
}

func TestLineWith(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text, part, want string
		found            bool
	}{
		"nothing yet":          {text: "", part: "a"},
		"line still grows":     {text: "ready on 127.0.0.1:80", part: "ready"},
		"whole line":           {text: "x\nready on 127.0.0.1:80\n", part: "ready", want: "ready on 127.0.0.1:80", found: true},
		"terminal's line end":  {text: "ready\r\n", part: "ready", want: "ready", found: true},
		"first of two":         {text: "a 1\na 2\n", part: "a", want: "a 1", found: true},
		"part across two ends": {text: "a\nb\n", part: "a\nb"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, found := lineWith(test.text, test.part)
			if got != test.want || found != test.found {
				t.Errorf("got %q, %t; want %q, %t", got, found, test.want, test.found)
			}
		})
	}
}
