package process

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Process is one started worker. Its methods may be called from any goroutine.
type Process struct {
	// Stdout and Stderr are the read ends of the worker's output. They are the
	// caller's: whoever reads them closes them. They reach end of file when the
	// last process that holds the write end has gone, which may be a child of
	// the worker, long after the worker.
	Stdout, Stderr *os.File

	pid    int
	notify string // Spec.Notify
	// pidfd stays valid after the leader has been waited for: it then stands
	// for the process group. Close ends it.
	pidfd *os.File
	wait  func() Status

	mu     sync.Mutex
	reaped bool // from then on pid may be somebody else's
}

func newProcess(pid, pidfd int, f *files) *Process {
	// A non-blocking file goes on the runtime's poller, where a waiting
	// goroutine costs no thread. This fcntl cannot fail on an open descriptor.
	_ = unix.SetNonblock(pidfd, true)
	p := &Process{
		Stdout: f.stdout,
		Stderr: f.stderr,
		pid:    pid,
		pidfd:  os.NewFile(uintptr(pidfd), "pidfd"),
	}
	p.wait = sync.OnceValue(p.reap)
	return p
}

// PID is for people and for the log. Nothing may be signalled by it: after Wait
// it can belong to another process.
func (p *Process) PID() int { return p.pid }

// Signal sends sig to the worker alone. It returns os.ErrProcessDone when the
// worker has been waited for, or after Close.
func (p *Process) Signal(sig unix.Signal) error {
	return p.send(sig, 0)
}

// Wait blocks until the worker has ended, and takes its status from the kernel.
// Somebody has to call it, or the worker stays a zombie. Every call returns the
// same status. Children of the worker may still run: see SignalGroup.
func (p *Process) Wait() Status { return p.wait() }

// Close forgets the process: Signal and SignalGroup return os.ErrProcessDone
// from then on, Wait still works. It does not close Stdout and Stderr. Call it
// after the last SignalGroup; a second call does nothing.
func (p *Process) Close() error {
	if err := p.pidfd.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func (p *Process) reap() Status {
	p.awaitExit()
	p.mu.Lock()
	defer p.mu.Unlock()
	status, err := wait4(p.pid)
	p.reaped = true
	if err != nil {
		return Status{Code: CodeUnknown}
	}
	return statusOf(status)
}

// awaitExit returns when the leader has become a zombie. A pidfd is readable
// from then on (pidfd_open(2)). Should the poller refuse, for example after
// Close, nothing is lost: the wait4 that follows blocks by itself, at the price
// of a thread.
func (p *Process) awaitExit() {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(poll, 0) // EINTR reads as not yet: see below
		return n > 0
	})
}

// wait4 waits for this one child only: a wait for any child would steal the
// statuses of processes that somebody else started.
func wait4(pid int) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err != unix.EINTR {
			return status, os.NewSyscallError("wait4", err)
		}
	}
}
