package reactor

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// holdMax bounds a wait that holds its P: long enough that a loop with work to do
// never hands over, and shorter than the 10 ms after which the runtime would begin
// to interrupt us in order to give the P to somebody else (forcePreemptNS in Go's
// runtime/proc.go).
const holdMax = 5 * time.Millisecond

// sleeper waits on an epoll descriptor, in one of two ways.
//
// A wait that hands over tells Go's scheduler before and after, as every blocking
// call does: the P goes to other goroutines meanwhile. Each time that wakes the
// runtime's monitor thread and makes us look for a P again, which costs about as
// much as the kernel's work on a short connection.
//
// A wait that holds says nothing: for the scheduler the loop runs on. Whoever needs
// it to stop, such as the garbage collector, asks for that and interrupts the wait
// by a signal. The loop heeds it at the next entry of a function, so after EINTR it
// only has to go on; runtime.Gosched would be wrong there, since coming back from it
// clears what was asked for, and a collection took a hundred times as long. Other
// goroutines need a P of their own: with GOMAXPROCS=1 they would stand still.
//
// So it holds while there is work. When nothing has come for holdMax, or it was
// interrupted, the next wait hands over: an idle loop costs what it did, it leaves
// its P to others, and nobody has to interrupt it twice.
type sleeper struct {
	fd     int
	shares bool // other goroutines serve the same clients: never hold
	busy   bool // the last wait has brought something, and may have held

	// For tests: how many waits have held, and how many have handed over.
	holds, handovers int
}

// wait is epoll_wait(2), and fails with a bare errno.
func (s *sleeper) wait(events []unix.EpollEvent, timeout time.Duration) (int, error) {
	if timeout == 0 {
		return s.hold(events, 0) // it does not sleep, so there is nothing to hand over
	}
	if s.busy {
		s.holds++
		n, err := s.hold(events, min(timeout, holdMax))
		s.busy = n > 0
		if n > 0 || err != nil || timeout <= holdMax {
			return n, err
		}
		timeout -= holdMax
	}
	s.handovers++
	n, err := unix.EpollWait(s.fd, events, ceilMilliseconds(timeout))
	s.busy = n > 0 && s.mayHold()
	return n, err
}

// hold is a system call that Go's scheduler does not hear of.
func (s *sleeper) hold(events []unix.EpollEvent, timeout time.Duration) (int, error) {
	const noMask, noMaskSize = 0, 0 // let the signals be as they are
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.fd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(ceilMilliseconds(timeout)), noMask, noMaskSize)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// mayHold is asked whenever the loop comes back from being idle: GOMAXPROCS may
// change, also by itself when the process gets another share of the machine.
func (s *sleeper) mayHold() bool { return !s.shares && runtime.GOMAXPROCS(0) >= 2 }
