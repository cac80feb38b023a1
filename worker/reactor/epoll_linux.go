package reactor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// epoll is the Poller over epoll(7), with an eventfd(2) as the waker of its Wait.
type epoll struct {
	fd    int
	sleep sleeper // on fd
	waker int
	woken atomic.Bool // Wake was called and no Wait has noticed yet
	raw   [eventsPerTurnMax]unix.EpollEvent
}

// wakerToken is the waker's registration; no loop uses it, and no connection has it
// when it has Ended.
const wakerToken = ^Token(0)

// newEpoll makes an epoll. shares: the loop is not the one that serves, see sleeper.
func newEpoll(shares bool) (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	waker, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &epoll{fd: fd, waker: waker, sleep: sleeper{fd: fd, shares: shares}}
	if err := p.Add(waker, wakerToken, Readable); err != nil {
		return nil, errors.Join(fmt.Errorf("register waker: %w", err), p.Close())
	}
	return p, nil
}

func (p *epoll) Add(fd int, token Token, interest Interest) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, epollEvent(token, interest))
}

func (p *epoll) Modify(fd int, token Token, interest Interest) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, epollEvent(token, interest))
}

func (p *epoll) Remove(fd int) error {
	return p.control(unix.EPOLL_CTL_DEL, fd, nil)
}

func (p *epoll) Wait(ready []Token, timeout time.Duration) (int, error) {
	room := min(len(ready), len(p.raw))
	n, err := p.sleep.wait(p.raw[:room], timeout)
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, os.NewSyscallError("epoll_wait", err)
	}
	count := 0
	for i := range p.raw[:n] {
		token := tokenOf(&p.raw[i])
		if token == wakerToken {
			p.notice()
			continue
		}
		if p.raw[i].Events&unix.EPOLLRDHUP != 0 {
			token |= Ended
		}
		ready[count] = token
		count++
	}
	return count, nil
}

// Wake writes to the waker, unless that has been done and not been noticed yet.
func (p *epoll) Wake() error {
	if !p.woken.CompareAndSwap(false, true) {
		return nil
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	if _, err := unix.Write(p.waker, one[:]); err != nil {
		return os.NewSyscallError("write eventfd", err)
	}
	return nil
}

// notice empties the waker. The count is read BEFORE woken is cleared: the other
// way round a Wake between the two would be read away and lose its effect for
// good, because woken would stay set. In this order such a Wake writes nothing,
// but its caller has posted its work already, and the loop looks for posted
// work after this.
func (p *epoll) notice() {
	var count [8]byte
	// It can only fail with EAGAIN: nobody has written.
	_, _ = unix.Read(p.waker, count[:])
	p.woken.Store(false)
}

func (p *epoll) Close() error {
	return errors.Join(
		os.NewSyscallError("close eventfd", unix.Close(p.waker)),
		os.NewSyscallError("close epoll", unix.Close(p.fd)),
	)
}

func (p *epoll) control(op, fd int, event *unix.EpollEvent) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, op, fd, event))
}

// epollEvent puts a token where the kernel keeps 64 bits for us. x/sys calls
// the two halves of epoll_data Fd and Pad on every architecture.
func epollEvent(token Token, interest Interest) *unix.EpollEvent {
	event := unix.EpollEvent{Fd: int32(token), Pad: int32(token >> 32)}
	if interest&Readable != 0 {
		event.Events |= unix.EPOLLIN
	}
	if interest&Writable != 0 {
		event.Events |= unix.EPOLLOUT
	}
	if interest&Exclusive != 0 {
		// EPOLLEXCLUSIVE goes with EPOLLIN alone here; EPOLLRDHUP beside it
		// would be EINVAL (epoll_ctl(2)).
		event.Events |= unix.EPOLLEXCLUSIVE
	}
	if interest&Edge != 0 {
		event.Events |= unix.EPOLLET | unix.EPOLLRDHUP // for a bell it means nothing
	}
	return &event
}

func tokenOf(event *unix.EpollEvent) Token {
	return Token(uint32(event.Fd)) | Token(uint32(event.Pad))<<32
}

func ceilMilliseconds(d time.Duration) int {
	return int((d + time.Millisecond - 1) / time.Millisecond)
}
