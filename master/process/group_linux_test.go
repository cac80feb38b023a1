package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// groupSignals are the two ways to signal a group: this kernel's, and the one
// for kernels before 6.9, which must behave alike.
var groupSignals = map[string]func(*Process, unix.Signal) error{
	"SignalGroup": (*Process).SignalGroup,
	"by number":   (*Process).signalGroupByNumber,
}

func TestSignalGroupEndsWhatOutlivedTheWorker(t *testing.T) {
	t.Parallel()
	for name, signal := range groupSignals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustLeaveOver(t)
			if err := signal(p, 0); err != nil {
				t.Errorf("ask while a member lives: %v", err)
			}
			if err := signal(p, unix.SIGKILL); err != nil {
				t.Errorf("kill: %v", err)
			}
			// Its end of the pipe goes with it.
			if _, err := io.ReadAll(p.Stdout); err != nil {
				t.Error(err)
			}
			reapGroup(t, p)
			if err := signal(p, 0); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("ask afterwards: got %v, want %v", err, os.ErrProcessDone)
			}
		})
	}
}

// mustLeaveOver starts a worker that ends and leaves a child behind.
func mustLeaveOver(t testing.TB) *Process {
	t.Helper()
	p := mustStart(t, Spec{Program: shell("sleep 1000 & exit 3")})
	if got, want := p.Wait(), (Status{Code: 3}); got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
	return p
}

func TestSignalGroupOfAWorkerAloneIsEmptyAfterWait(t *testing.T) {
	t.Parallel()
	for name, signal := range groupSignals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustStart(t, Spec{Program: shell("exit")})
			awaitState(t, p.PID(), "Z")
			if err := signal(p, unix.SIGTERM); err != nil {
				t.Errorf("while it is a zombie: %v", err)
			}
			p.Wait()
			if err := signal(p, unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("got %v, want %v", err, os.ErrProcessDone)
			}
		})
	}
}

// The number of an ended worker comes round again, as a PID and as a group of
// somebody else. A private PID namespace makes that happen at will.
func TestSignalGroupSparesAStrangerWithTheSameNumber(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a PID namespace, and ns_last_pid in it")
	}
	master := testproc.Impersonate(t, "reuse-pid")
	master.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	out, err := master.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skipf("no PID namespaces here: %v", err)
	}
	if got, want := string(out), "spared\n"; err != nil || got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func reusePID([]string) int {
	if err := killAndSpare(); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("spared")
	return 0
}

func killAndSpare() error {
	p, err := Start(Spec{Program: []string{"/bin/true"}})
	if err != nil {
		return err
	}
	p.Wait()
	stranger, err := startWithPID(p.PID())
	if err != nil {
		return err
	}
	for name, signal := range groupSignals {
		if err := signal(p, unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("%s: got %v, want %v", name, err, os.ErrProcessDone)
		}
	}
	// Had it been killed, it could not end by this signal.
	if err := stranger.Signal(unix.SIGTERM); err != nil {
		return err
	}
	if got := stranger.Wait(); got != (Status{Signal: unix.SIGTERM}) {
		return fmt.Errorf("the stranger: %v", got)
	}
	return nil
}

// startWithPID starts a process in its own group until one has the PID. A new
// thread of ours may take the number first, so it tries again.
func startWithPID(pid int) (*Process, error) {
	const triesMax = 100
	for range triesMax {
		last := []byte(strconv.Itoa(pid - 1))
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", last, 0); err != nil {
			return nil, err
		}
		p, err := Start(Spec{Program: []string{"/bin/sleep", "1000"}})
		if err != nil || p.PID() == pid {
			return p, err
		}
		if err := p.Signal(unix.SIGKILL); err != nil {
			return nil, err
		}
		p.Wait()
	}
	return nil, fmt.Errorf("PID %d did not come round", pid)
}
