package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// PipeSize is the capacity in bytes that is asked for each of a worker's output
// pipes: what it can write while nobody reads, for example during an upgrade of
// the master, before it blocks.
const PipeSize = 1 << 20

// outputPipe makes one output pipe. The read end sits on the runtime's poller;
// the write end blocks, as programs expect of their standard output.
func outputPipe(name string) (read *os.File, write int, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, fmt.Errorf("make %s pipe: %w", name, os.NewSyscallError("pipe2", err))
	}
	// A user without CAP_SYS_RESOURCE may not go beyond his pipe-user-pages-soft
	// (pipe(7)). A smaller pipe blocks a worker earlier, and is still a pipe.
	_, _ = unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, PipeSize)
	// The two ends are two open files: the write end goes on blocking.
	if err := unix.SetNonblock(ends[0], true); err != nil {
		_, _ = unix.Close(ends[0]), unix.Close(ends[1]) // both are unused
		return nil, -1, fmt.Errorf("make %s pipe: %w", name, os.NewSyscallError("fcntl", err))
	}
	return os.NewFile(uintptr(ends[0]), name), ends[1], nil
}
