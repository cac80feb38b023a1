package worker

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// takeDescriptor makes a bare descriptor of a received file and closes that. A file
// of a non-blocking socket is in the runtime's own poller, which would be woken for
// every connection, whoever accepts it; its finalizer would close the socket under
// the engine; and its Fd would make the socket blocking for everybody who has it. It
// is never one of the standard streams, even if somebody has closed those.
func takeDescriptor(f *os.File) (fd int, err error) {
	defer f.Close() // nothing was written to it
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("take received descriptor: %w", err)
	}
	var dupErr error
	err = raw.Control(func(received uintptr) {
		fd, dupErr = unix.FcntlInt(received, unix.F_DUPFD_CLOEXEC, firstListener)
	})
	if err := errors.Join(err, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", dupErr)); err != nil {
		return -1, fmt.Errorf("take received descriptor: %w", err)
	}
	return fd, nil
}

// takeDescriptors takes all of them or none, and has them not block: a sibling whose
// socket was never in a loop may have left it as it was. The files are closed in any
// case.
func takeDescriptors(files []*os.File) ([]int, error) {
	fds := make([]int, 0, len(files))
	for i, f := range files {
		fd, err := takeDescriptor(f)
		if err == nil {
			fds = append(fds, fd)
			err = os.NewSyscallError("fcntl O_NONBLOCK", unix.SetNonblock(fd, true))
		}
		if err != nil {
			received{files: files[i+1:]}.closeFiles()
			closeAll(fds)
			return nil, err
		}
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // nothing was written to it
	}
}
