package ipc

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// Bell calls all workers of a master at once: an eventfd(2) that each of them has
// in its poller, edge-triggered, and that nobody reads. Every ring then wakes
// everybody who sleeps, and who is busy hears it in its next turn. A message to
// each would cost a system call for each, and wait behind others.
type Bell struct{ fd int }

// NewBell makes a bell, for the master. The caller owns it until Close.
func NewBell() (*Bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &Bell{fd: fd}, nil
}

// Ring never blocks and cannot fail as long as the bell is open: the counter
// overflows after 2^64 rings.
func (b *Bell) Ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(b.fd, one[:])
}

// FD is the descriptor to send with Welcome. It stays the bell's.
func (b *Bell) FD() int { return b.fd }

// Close closes the master's copy.
func (b *Bell) Close() error { return os.NewSyscallError("close", unix.Close(b.fd)) }
