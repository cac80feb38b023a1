package reactor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// newClock returns a function that reads CLOCK_MONOTONIC in nanoseconds: one
// base for every process of a boot, so the master can compare a beat with its
// own time.
//
// Go's monotonic time is the same clock with another zero. Reading it needs no
// system call (vdso(7)), where x/sys would make one in every turn.
func newClock() (func() int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return nil, os.NewSyscallError("clock_gettime", err)
	}
	start, offset := time.Now(), now.Nano()
	return func() int64 { return offset + int64(time.Since(start)) }, nil
}
