package process

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mustLine is the next line of a process that goes on running.
func mustLine(t testing.TB, in *bufio.Reader) string {
	t.Helper()
	text, err := in.ReadString('\n')
	if err != nil {
		t.Fatalf("read a line: %v", err)
	}
	return strings.TrimSuffix(text, "\n")
}

func TestWaitTellsHowTheWorkerEnded(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script string
		want   Status
	}{
		"well":     {"exit 0", Status{}},
		"code":     {"exit 3", Status{Code: 3}},
		"high":     {"exit 255", Status{Code: 255}},
		"killed":   {"kill -KILL $$", Status{Signal: unix.SIGKILL}},
		"realtime": {"kill -40 $$", Status{Signal: 40}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustStart(t, Spec{Program: shell(test.script)})
			if got := p.Wait(); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if got := p.Wait(); got != test.want {
				t.Errorf("second time: got %v, want %v", got, test.want)
			}
		})
	}
}

func TestStatusString(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status Status
		want   string
	}{
		{Status{}, "exit code 0"},
		{Status{Code: 3}, "exit code 3"},
		{Status{Code: CodeUnknown}, "exit code unknown"},
		{Status{Signal: unix.SIGKILL}, "killed by SIGKILL"},
		{Status{Signal: unix.SIGSEGV, Core: true}, "killed by SIGSEGV (core dumped)"},
		{Status{Signal: 40}, "killed by signal 40"},
		{statusOf(unix.WaitStatus(0x8b)), "killed by SIGSEGV (core dumped)"},
		{statusOf(unix.WaitStatus(0x0300)), "exit code 3"},
	}
	for _, test := range tests {
		if got := test.status.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// Somebody else's child has ended and was not yet waited for: the status of a
// wait for any child would be that one.
func TestWaitTakesNobodyElsesStatus(t *testing.T) {
	t.Parallel()
	other := exec.Command("/bin/sh", "-c", "exit 9")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	awaitState(t, other.Process.Pid, "Z")
	p := mustStart(t, Spec{Program: shell("exit 5")})
	if got, want := p.Wait(), (Status{Code: 5}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	var end *exec.ExitError
	if err := other.Wait(); !errors.As(err, &end) || end.ExitCode() != 9 {
		t.Errorf("the other child: got %v, want exit status 9", err)
	}
}

func TestWaitGivesEveryCallerTheStatus(t *testing.T) {
	t.Parallel()
	p := mustStart(t, Spec{Program: shell("exit 5")})
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			if got, want := p.Wait(), (Status{Code: 5}); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	waiting.Wait()
}

// A wait that blocked in the kernel would cost a thread for each worker. Only a
// file on the poller takes a deadline.
func TestWaitHoldsNoThread(t *testing.T) {
	t.Parallel()
	p := mustStart(t, Spec{Program: shell(":")})
	if err := p.pidfd.SetReadDeadline(time.Time{}); err != nil {
		t.Errorf("the pidfd is not on the poller: %v", err)
	}
}

func TestWaitAfterCloseStillWaits(t *testing.T) {
	t.Parallel()
	p := mustStart(t, Spec{Program: shell("echo up; kill -STOP $$; exit 4")})
	mustLine(t, bufio.NewReader(p.Stdout))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for name, signal := range map[string]func(unix.Signal) error{"Signal": p.Signal, "SignalGroup": p.SignalGroup} {
		if err := signal(unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s after Close: got %v, want %v", name, err, os.ErrProcessDone)
		}
	}
	// The process may not have stopped yet: the second signal of the pair would
	// then be lost. It is not waited for, so its PID is its own.
	awaitState(t, p.PID(), "T")
	if err := unix.Kill(p.PID(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got, want := p.Wait(), (Status{Code: 4}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// awaitState waits until the process is in the state, as ps names it.
func awaitState(t testing.TB, pid int, state string) {
	t.Helper()
	options := map[string]int{"T": unix.WSTOPPED, "Z": unix.WEXITED}[state]
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, options|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("wait for state %s: %v", state, err)
		}
	}
}

func TestSignalReachesTheWorkerAlone(t *testing.T) {
	t.Parallel()
	p := mustStart(t, Spec{Program: shell(`sleep 1000 & trap "exit 6" TERM; echo up; wait`)})
	mustLine(t, bufio.NewReader(p.Stdout))
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got, want := p.Wait(), (Status{Code: 6}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := p.SignalGroup(0); err != nil {
		t.Errorf("the worker's child is gone, too: %v", err)
	}
	if err := p.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end: got %v, want %v", err, os.ErrProcessDone)
	}
}

func TestSignalReportsABadSignal(t *testing.T) {
	t.Parallel()
	p := mustStart(t, Spec{Program: shell("sleep 1000")})
	for name, signal := range map[string]func(unix.Signal) error{"Signal": p.Signal, "SignalGroup": p.SignalGroup} {
		if err := signal(1000); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: got %v, want %v", name, err, unix.EINVAL)
		}
	}
}
