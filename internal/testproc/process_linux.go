package testproc

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// drainPatience is the time that output has to arrive after an exit, when it
// does not end because a descendant holds it open.
const drainPatience = time.Second

// Process is a process that a test started. Its methods are for the goroutine
// of the test.
type Process struct {
	cmd    *exec.Cmd
	mark   string
	output *transcript
	exited chan struct{} // closed when cmd.ProcessState is set
}

// Start starts cmd, in a session of its own unless cmd.SysProcAttr says
// otherwise, and ends it with the test. Standard output and error are one stream,
// see Output; a cmd that has its own is left alone. In cmd.Env nil means our
// environment, without what could change prefork's behaviour.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	if cmd.Stdout == nil {
		cmd.Stdout = w
	}
	if cmd.Stderr == nil {
		cmd.Stderr = w
	}
	if cmd.SysProcAttr == nil {
		// A session without a controlling terminal: the same for a test run from a
		// terminal and for one that is not.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	p := launch(t, cmd, r)
	_ = w.Close() // the process has its own copy
	return p
}

// launch starts cmd, whose output arrives at r, and takes r.
func launch(t testing.TB, cmd *exec.Cmd, r *os.File) *Process {
	t.Helper()
	p := &Process{
		cmd:    cmd,
		mark:   mustRun(t).nextMark(),
		output: newTranscript(),
		exited: make(chan struct{}),
	}
	if cmd.Env == nil {
		cmd.Env = cleanEnvironment()
	}
	cmd.Env = append(cmd.Env, markEnv+"="+p.mark) // the last one wins
	if err := mustRun(t).forker.start(cmd); err != nil {
		_ = r.Close() // nothing was written
		t.Fatalf("start %q: %v", cmd.Args, err)
	}
	go p.output.copyFrom(r)
	go p.wait()
	t.Cleanup(func() { p.end(t, r) })
	return p
}

func (p *Process) wait() {
	// The error repeats ProcessState or is about copying, which we do ourselves.
	_ = p.cmd.Wait()
	close(p.exited)
}

// end leaves nothing of the process: itself, its descendants, its output.
func (p *Process) end(t testing.TB, output *os.File) {
	_ = p.cmd.Process.Kill() // os.ErrProcessDone is as good
	<-p.exited
	p.KillDescendants(t)
	p.awaitOutputEnd()
	_ = output.Close() // ends copyFrom if a stranger holds the other end
	<-p.output.ended
	if t.Failed() {
		t.Logf("output of %q (%s):\n%s", p.cmd.Args, p.cmd.ProcessState, p.Output())
	}
}

// PID is the process's number, for reading about it. Signal by [Process.Signal].
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what the process has written so far.
func (p *Process) Output() string {
	text, _ := p.output.read()
	return text
}

// Exited says whether the process has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Signal signals the process, by its pidfd where the kernel has them. A process
// that has ended fails the test.
func (p *Process) Signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("send %s to %q: %v", signal, p.cmd.Args, err)
	}
}

// AwaitLine waits for a whole line of output that contains part and returns it.
// A process that ends without one fails the test at once.
func (p *Process) AwaitLine(t testing.TB, part string) string {
	t.Helper()
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	for {
		text, changed := p.output.read()
		if line, found := lineWith(text, part); found {
			return line
		}
		select {
		case <-changed:
		case <-p.output.ended:
			if line, found := lineWith(p.Output(), part); found {
				return line
			}
			t.Fatalf("%q: output ended without a line that contains %q", p.cmd.Args, part)
		case <-timeout.C:
			t.Fatalf("%q: no line that contains %q after %s", p.cmd.Args, part, Patience)
		}
	}
}

// AwaitExit waits for the end of the process and of its output.
func (p *Process) AwaitExit(t testing.TB) *os.ProcessState {
	t.Helper()
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	select {
	case <-p.exited:
	case <-timeout.C:
		t.Fatalf("%q: has not ended after %s", p.cmd.Args, Patience)
	}
	p.awaitOutputEnd()
	return p.cmd.ProcessState
}

func (p *Process) awaitOutputEnd() {
	timeout := time.NewTimer(drainPatience)
	defer timeout.Stop()
	select {
	case <-p.output.ended:
	case <-timeout.C:
	}
}

// Descendants are the PIDs of the living processes that descend from this one,
// wherever they hang in the tree now. Those that were given an environment
// without the mark are not found.
func (p *Process) Descendants(t testing.TB) []int {
	t.Helper()
	found, err := marked(p.mark)
	if err != nil {
		t.Fatalf("look for descendants of %q: %v", p.cmd.Args, err)
	}
	var pids []int
	for _, other := range found {
		if other.pid != p.PID() {
			pids = append(pids, other.pid)
		}
	}
	return pids
}

// KillDescendants ends them and waits until they are gone.
func (p *Process) KillDescendants(t testing.TB) {
	t.Helper()
	Await(t, fmt.Sprintf("descendants of %q to end", p.cmd.Args), func() bool {
		left := p.Descendants(t)
		for _, pid := range left {
			if err := killMarked(pid, p.mark); err != nil {
				t.Error(err)
			}
		}
		return len(left) == 0
	})
}

// nextMark is the mark of the next process: a part of the run's.
func (r *testRun) nextMark() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes++
	return fmt.Sprintf("%s.%d", r.mark, r.processes)
}

// cleanEnvironment is ours without what the machine's own
// services put there and prefork would read.
func cleanEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(readByPrefork, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
}

var readByPrefork = []string{"PREFORK_", "LISTEN_", "WATCHDOG_", "NOTIFY_SOCKET="}
