package reactor

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pairBuffer is what we ask the kernel to hold of what a giver has sent and its heir
// not read, in bytes; it gives what net.core.wmem_max allows.
const pairBuffer = 512 << 10

// sendReserve is what a datagram needs of the send buffer beside its bytes
// (unix_dgram_sendmsg in Linux's net/unix/af_unix.c).
const sendReserve = 32

// pair is our end of the socket pair to another worker.
type pair struct {
	loop  *Loop
	fd    int
	token Token
	heard bool // the poller has told of it since the last turn
	over  bool // it is closed
}

// open takes over fd if it succeeds.
func (p *pair) open(l *Loop, fd int) error {
	if err := verifyPair(fd); err != nil {
		return err
	}
	unix.CloseOnExec(fd)
	*p = pair{loop: l, fd: fd}
	p.token = l.registry.addPair(p)
	if err := l.poller.Add(fd, p.token, Readable); err != nil {
		l.registry.removePair(p.token)
		return fmt.Errorf("watch pair: %w", err)
	}
	return nil
}

func verifyPair(fd int) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_DOMAIN", err)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_TYPE", err)
	}
	if domain != unix.AF_UNIX || kind != unix.SOCK_SEQPACKET {
		return fmt.Errorf("socket of domain %d and type %d, not a Unix SOCK_SEQPACKET", domain, kind)
	}
	return nil
}

// close: the peer reads what we have sent, then the end.
func (p *pair) close() {
	if p.over {
		return
	}
	p.over = true
	_ = p.loop.poller.Remove(p.fd) // it is watched since open
	p.loop.registry.removePair(p.token)
	unix.Close(p.fd)
}

// tellOf changes what the poller tells of.
func (p *pair) tellOf(interest Interest) error {
	return p.loop.poller.Modify(p.fd, p.token, interest)
}

// room is how long a datagram may be that the peer is sent.
func (p *pair) room() (int, error) {
	// The kernel takes less where it has to, and that may be enough.
	_ = unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, pairBuffer)
	buffer, err := unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return 0, os.NewSyscallError("getsockopt SO_SNDBUF", err)
	}
	return min(datagramMax, buffer-sendReserve), nil
}

// transmit sends a datagram whole or not at all. The caller keeps fds. Its error is a
// bare errno.
func (p *pair) transmit(data []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Sendmsg(p.fd, data, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
	return err
}

// unsent says what to make of an error of transmit: nothing has gone out.
func unsent(err error) (later, gone bool) {
	switch err {
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.ETOOMANYREFS:
		return true, false // ETOOMANYREFS: so many descriptors are under way (unix(7))
	case unix.EPIPE, unix.ECONNRESET, unix.ENOTCONN:
		return false, true
	}
	return false, false
}

// mailbox is where datagrams of pairs are made and read. A loop has one as long as it
// has pairs.
type mailbox struct {
	data    []byte
	control []byte
	items   []item
}

func newMailbox() *mailbox {
	return &mailbox{
		data:    make([]byte, datagramMax+1), // one more, to see what is too long
		control: make([]byte, unix.CmsgSpace(parcelMax*4)),
		items:   make([]item, 0, parcelMax),
	}
}

// receive reads one datagram. It returns io.EOF when the peer has gone and all that
// it sent was read, EAGAIN when there is none now, else an error of the kernel's. The
// descriptors are the caller's, and truncated says that some were lost on the way.
//
// ECONNRESET is no end: the kernel says once that a peer has closed with messages
// unread, BEFORE it hands out what the peer sent (unix_release_sock and
// __skb_try_recv_datagram, Linux 6.18).
func (p *pair) receive(box *mailbox) (data []byte, fds []int, truncated bool, err error) {
	var n, controls, flags int
	err = unix.EINTR
	for err == unix.EINTR || err == unix.ECONNRESET {
		n, controls, flags, _, err = unix.Recvmsg(p.fd, box.data, box.control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	}
	switch {
	case err == unix.EAGAIN:
		return nil, nil, false, err
	case err != nil:
		return nil, nil, false, os.NewSyscallError("recvmsg", err)
	case n == 0 && controls == 0:
		return nil, nil, false, io.EOF // or an empty datagram, which is the same nonsense as none
	}
	fds, err = parseRights(box.control[:controls])
	if flags&unix.MSG_TRUNC != 0 {
		err = errors.Join(err, fmt.Errorf("datagram of more than %d bytes", len(box.data)))
	}
	if err != nil {
		closeAll(fds)
		return nil, nil, false, err
	}
	return box.data[:n], fds, flags&unix.MSG_CTRUNC != 0, nil
}

// parseRights returns every descriptor in a control buffer, also when there is an
// error: all of them are open, and somebody has to close them.
func parseRights(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("control data of %d bytes: %w", len(control), err)
	}
	var fds []int
	for _, message := range messages {
		some, parseErr := unix.ParseUnixRights(&message)
		if parseErr != nil {
			err = fmt.Errorf("control message of level %d and type %d", message.Header.Level, message.Header.Type)
		}
		fds = append(fds, some...)
	}
	return fds, err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd) // nothing was done with it
	}
}

// neverBlock makes sure that a descriptor which another process has sent cannot
// block the loop.
func neverBlock(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return os.NewSyscallError("fcntl F_GETFL", err)
	}
	if flags&unix.O_NONBLOCK != 0 {
		return nil
	}
	return os.NewSyscallError("fcntl O_NONBLOCK", unix.SetNonblock(fd, true))
}
