package notify

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// fdsMax is the most descriptors that the kernel passes with one message:
// SCM_MAX_FD in include/net/scm.h.
const fdsMax = 253

// controlMax has room for everything that comes beside a message. Descriptors
// that do not fit would be lost, and credentials with them.
var controlMax = unix.CmsgSpace(unix.SizeofUcred) + unix.CmsgSpace(fdsMax*4)

// RejectedError is about one message; the socket goes on working.
type RejectedError struct {
	Sender int    // its PID; 0: the kernel did not say
	Reason string // one printable line
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("notification of process %d rejected: %s", e.Sender, e.Reason)
}

// Receive waits for the next message. worker is the worker's PID: the socket
// exists before the process does, and what is sent meanwhile waits in the
// kernel's queue until the caller knows whose it must be.
//
// It returns a *RejectedError for a message that is too long, malformed, or not
// from the worker or a descendant, an error that wraps os.ErrClosed after Close,
// and otherwise what the kernel says, after which the socket is of no use.
func (s *Socket) Receive(worker int) (Message, error) {
	var (
		p   packet
		err error
	)
	closedErr := s.raw.Read(func(fd uintptr) bool {
		p, err = s.receive(int(fd))
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case closedErr != nil:
		return Message{}, fmt.Errorf("receive notification: %w", os.ErrClosed)
	case err != nil:
		return Message{}, fmt.Errorf("receive notification: %w", os.NewSyscallError("recvmsg", err))
	}
	// AFTER the check: a sender that waits for a barrier is there until then.
	defer closeAll(p.fds)
	m, err := p.check(worker)
	if err != nil {
		return Message{}, &RejectedError{Sender: p.sender, Reason: err.Error()}
	}
	return m, nil
}

// packet is what one recvmsg gave.
type packet struct {
	data   []byte // valid until the next one
	flags  int
	sender int // 0: unknown
	fds    []int
}

// receive takes one packet from the queue without waiting.
func (s *Socket) receive(fd int) (packet, error) {
	n, controlSize, flags, err := 0, 0, 0, error(unix.EINTR)
	for err == unix.EINTR {
		n, controlSize, flags, _, err = unix.Recvmsg(fd, s.packet[:], s.control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return packet{}, err
	}
	p := packet{data: s.packet[:n], flags: flags}
	p.readControl(s.control[:controlSize])
	return p, nil
}

// readControl finds the sender and every descriptor; what it cannot read is not
// there. The kernel wrote it, so that a mistake would be ours.
func (p *packet) readControl(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return
	}
	for i := range messages {
		if credentials, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			p.sender = int(credentials.Pid)
		}
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			p.fds = append(p.fds, fds...)
		}
	}
}

// check says what the packet means, or in words why it is rejected.
func (p *packet) check(worker int) (Message, error) {
	if p.flags&unix.MSG_TRUNC != 0 {
		return Message{}, fmt.Errorf("it has more than %d bytes", MessageMax)
	}
	if err := checkSender(p.sender, worker); err != nil {
		return Message{}, err
	}
	m, err := Parse(p.data)
	if err != nil {
		return Message{}, err
	}
	// Credentials stand before descriptors, so with MSG_CTRUNC only these are
	// lost (the limit of open files is reached), which is what would have become
	// of them anyway.
	if !m.Barrier && (len(p.fds) > 0 || p.flags&unix.MSG_CTRUNC != 0) {
		m.refuseLine("descriptors came with it, which a worker has no use for: they are closed")
	}
	return m, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // nothing was written through it: its error tells nobody anything
	}
}
