package process

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start makes a new process in its own process group and returns when that
// process has become the exec step. Whether the program itself could be run
// shows later: see Process.Wait and CodeNotFound.
//
// The error is about the start: no process exists then, and nothing is left
// open. Temporary tells whether a later try may succeed. Start keeps nothing
// of the Spec: the caller closes IPC afterwards, or it never sees the worker's
// end of file.
func Start(s Spec) (*Process, error) {
	p, err := start(s)
	if err != nil {
		return nil, fmt.Errorf("start worker slot=%d generation=%d: %w", s.Slot, s.Generation, err)
	}
	return p, nil
}

func start(s Spec) (*Process, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	argv, err := stepOf(s).argv(s.Program)
	if err != nil {
		return nil, err
	}
	files, err := openFiles(s)
	if err != nil {
		return nil, err
	}
	defer files.closeChildEnds()

	pidfd := -1
	// syscall and not os: os.StartProcess asks its files for Fd(), which can
	// clear O_NONBLOCK on the open file, and a listening socket's open file is
	// shared with the master and with every worker that ever held it.
	pid, _, err := syscall.StartProcess(Self, argv, &syscall.ProcAttr{
		Env:   environment(s),
		Files: files.child,
		Sys:   &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
	})
	if err != nil {
		files.closeParentEnds()
		return nil, fmt.Errorf("run %s: %w", Self, err)
	}
	if pidfd < 0 {
		files.closeParentEnds()
		abandon(pid)
		return nil, errors.New("this kernel gives no pidfd: Linux 5.4 or newer is needed")
	}
	p := newProcess(pid, pidfd, files)
	p.notify = s.Notify
	return p, nil
}

// abandon ends a child that cannot be watched. Its PID is its own until wait4
// has returned, so the plain kill cannot hit anybody else.
func abandon(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL) // it fails only if the child has ended
	_, _ = wait4(pid)
}

// Temporary reports whether err comes from a shortage that may pass (open
// files, processes, memory): worth another try after a while.
func Temporary(err error) bool {
	for _, shortage := range []error{unix.EMFILE, unix.ENFILE, unix.EAGAIN, unix.ENOMEM} {
		if errors.Is(err, shortage) {
			return true
		}
	}
	return false
}
