package ipc

import (
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic returns CLOCK_MONOTONIC in nanoseconds: one base for every process
// of a boot, so that a deadline or a heartbeat means the same to master and
// worker. Go's own time.Time does not cross a process border, but it is the same clock
// with another zero, and read without a system call (vdso(7)).
func Monotonic() int64 { return clockZero + int64(time.Since(clockStart)) }

var clockStart, clockZero = startClock()

// startClock returns a moment by both clocks. One that comes while this thread is
// interrupted would leave the process behind all others: another is taken then.
func startClock() (start time.Time, zero int64) {
	const together = 10 * time.Microsecond
	for range 100 {
		zero, start = readClock(), time.Now()
		if readClock()-zero < int64(together) {
			break
		}
	}
	return start, zero
}

func readClock() int64 {
	var now unix.Timespec
	// clock_gettime(2) fails for an unknown clock or a bad address only.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano()
}
