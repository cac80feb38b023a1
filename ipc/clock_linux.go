package ipc

import "golang.org/x/sys/unix"

// Monotonic returns CLOCK_MONOTONIC in nanoseconds: one base for every process
// of a boot, so that a deadline or a heartbeat means the same to master and
// worker. Go's own time.Time does not cross a process border.
func Monotonic() int64 {
	var now unix.Timespec
	// clock_gettime(2) fails for an unknown clock or a bad address only.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano()
}
