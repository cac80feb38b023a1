package process

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// files are the child's standard streams, listeners and IPC socket.
type files struct {
	child          []uintptr // child[n] becomes the child's file descriptor n
	owned          []int     // those of child, and others, to close after the start
	stdout, stderr *os.File  // the read ends
}

func openFiles(s Spec) (*files, error) {
	f := &files{}
	err := f.open(s)
	if err != nil {
		f.closeChildEnds()
		f.closeParentEnds()
		return nil, err
	}
	return f, nil
}

func (f *files) open(s Spec) error {
	// A worker's process group is never the terminal's foreground group: a read
	// from the terminal would stop it by SIGTTIN, and it would look hung.
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	f.give(null)

	var write int
	if f.stdout, write, err = outputPipe("stdout"); err != nil {
		return err
	}
	f.give(write)
	if f.stderr, write, err = outputPipe("stderr"); err != nil {
		return err
	}
	f.give(write)

	for _, l := range s.Listeners {
		f.child = append(f.child, uintptr(l.FD))
	}
	for _, fd := range s.Siblings {
		f.child = append(f.child, uintptr(fd))
	}
	if s.IPC == nil {
		return nil
	}
	ipc, err := duplicate(s.IPC)
	if err != nil {
		return fmt.Errorf("duplicate IPC socket: %w", err)
	}
	f.give(ipc)
	return nil
}

// give makes fd the child's next file descriptor; it is closed after the start.
func (f *files) give(fd int) {
	f.child = append(f.child, uintptr(fd))
	f.owned = append(f.owned, fd)
}

func (f *files) closeChildEnds() {
	for _, fd := range f.owned {
		_ = unix.Close(fd) // nothing was written through it
	}
}

func (f *files) closeParentEnds() {
	for _, end := range []*os.File{f.stdout, f.stderr} {
		if end != nil {
			_ = end.Close() // nothing was read from it
		}
	}
}

// duplicate gives a second descriptor of f's open file. It does not ask for
// f.Fd(), for the reason given in start.
func duplicate(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup := -1
	var dupErr error
	err = raw.Control(func(fd uintptr) {
		dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, firstListener)
	})
	if err = errors.Join(err, dupErr); err != nil {
		return -1, err
	}
	return dup, nil
}
