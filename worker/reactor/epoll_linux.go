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

// epoll is the Poller over epoll(7), with an eventfd(2) as its bell.
type epoll struct {
	fd   int
	bell int
	rung atomic.Bool // the bell has been rung and no Wait has heard it yet
	raw  [eventsPerTurnMax]unix.EpollEvent
}

// bellToken is the bell's registration; no loop uses it, see TokenMax.
const bellToken = TokenMax + 1

func newEpoll() (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &epoll{fd: fd, bell: bell}
	if err := p.Add(bell, bellToken, Readable); err != nil {
		return nil, errors.Join(fmt.Errorf("register bell: %w", err), p.Close())
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
	n, err := unix.EpollWait(p.fd, p.raw[:room], ceilMilliseconds(timeout))
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, os.NewSyscallError("epoll_wait", err)
	}
	count := 0
	for i := range p.raw[:n] {
		token := tokenOf(&p.raw[i])
		if token == bellToken {
			p.hear()
			continue
		}
		ready[count] = token
		count++
	}
	return count, nil
}

// Wake rings the bell unless it is ringing already.
func (p *epoll) Wake() error {
	if !p.rung.CompareAndSwap(false, true) {
		return nil
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	if _, err := unix.Write(p.bell, one[:]); err != nil {
		return os.NewSyscallError("write eventfd", err)
	}
	return nil
}

// hear silences the bell. The count is read BEFORE rung is cleared: the other
// way round a Wake between the two would be read away and lose its effect for
// good, because rung would stay set. In this order such a Wake does not ring,
// but its caller has posted its work already, and the loop looks for posted
// work after this.
func (p *epoll) hear() {
	var count [8]byte
	// It can only fail with EAGAIN, which is what silence looks like.
	_, _ = unix.Read(p.bell, count[:])
	p.rung.Store(false)
}

func (p *epoll) Close() error {
	return errors.Join(
		os.NewSyscallError("close eventfd", unix.Close(p.bell)),
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
	return &event
}

func tokenOf(event *unix.EpollEvent) Token {
	return Token(uint32(event.Fd)) | Token(uint32(event.Pad))<<32
}

func ceilMilliseconds(d time.Duration) int {
	return int((d + time.Millisecond - 1) / time.Millisecond)
}
