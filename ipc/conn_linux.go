package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrFull tells that a message was not sent, because the peer has not read
// those before it, or the kernel has no room for it at the moment. Nothing of
// it arrives; the same message may be sent again later.
var ErrFull = errors.New("ipc socket is full")

// Conn is one end of a pair. One goroutine may receive while any number send;
// Close may come from any of them.
type Conn struct {
	file *os.File // owns the descriptor, non-blocking, on the runtime's poller
	raw  syscall.RawConn
}

// Pair makes a connected pair. The caller owns both ends: mine is ready for use,
// theirs is for a child to inherit (which takes a dup without close-on-exec) and
// to be closed here as soon as the child has it, or its death goes unnoticed.
func Pair() (mine *Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "ipc of a worker")
	if mine, err = newConn(fds[0]); err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]), theirs.Close())
	}
	return mine, theirs, nil
}

// Open takes over an inherited end. It refuses a descriptor that is not an open
// SOCK_SEQPACKET Unix socket and leaves that one as it was; with success the
// Conn owns it.
func Open(fd int) (*Conn, error) {
	if err := verifySocket(fd); err != nil {
		return nil, fmt.Errorf("open ipc descriptor %d: %w", fd, err)
	}
	unix.CloseOnExec(fd) // what is inherited is not close-on-exec until somebody says so
	return newConn(fd)
}

func verifySocket(fd int) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if domain != unix.AF_UNIX || kind != unix.SOCK_SEQPACKET {
		return fmt.Errorf("socket of domain %d and type %d, not a Unix SOCK_SEQPACKET", domain, kind)
	}
	return nil
}

// newConn takes fd over when it succeeds. os.NewFile gives a descriptor to the
// runtime's poller only if it is non-blocking by then.
func newConn(fd int) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "ipc")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("open ipc connection: %w", err)
	}
	return &Conn{file: file, raw: raw}, nil
}

// Close closes this end. The peer reads what was sent before it, and then the
// end of the file; a Receive that waits here returns os.ErrClosed.
func (c *Conn) Close() error {
	return c.file.Close()
}

// Send sends one message whole or not at all, and never waits. The caller keeps
// fds: the peer gets copies, and there are as many as the kind of the message
// asks for. Errors wrap ErrFull when it is worth trying again later,
// os.ErrClosed when this end is closed or the peer has gone, and *ProtocolError
// when the message may not travel.
func (c *Conn) Send(m Message, fds ...int) error {
	packet, err := AppendMessage(nil, m)
	if err != nil {
		return err
	}
	if want := m.kind().fds(); !want.allows(len(fds)) {
		return fmt.Errorf("send %s: %w", m.kind(), violation("%d descriptors, not %v", len(fds), want))
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := c.sendPacket(packet, rights); err != nil {
		return fmt.Errorf("send %s: %w", m.kind(), err)
	}
	return nil
}

// sendPacket needs no lock beside other senders: a packet of a SOCK_SEQPACKET
// socket goes out in one piece.
func (c *Conn) sendPacket(packet, rights []byte) error {
	var sendErr error
	closedErr := c.raw.Control(func(fd uintptr) {
		sendErr = unix.EINTR
		for sendErr == unix.EINTR {
			// MSG_NOSIGNAL: a peer that died is an error to handle, not a SIGPIPE.
			sendErr = unix.Sendmsg(int(fd), packet, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
	})
	if closedErr != nil {
		return os.ErrClosed
	}
	return classifySend(sendErr)
}

func classifySend(err error) error {
	switch err {
	case nil:
		return nil
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.ETOOMANYREFS:
		return fmt.Errorf("%w: %w", ErrFull, os.NewSyscallError("sendmsg", err))
	case unix.EPIPE, unix.ECONNRESET, unix.ENOTCONN:
		return fmt.Errorf("%w: %w", os.ErrClosed, os.NewSyscallError("sendmsg", err))
	}
	return os.NewSyscallError("sendmsg", err)
}

// Receive waits for the next message. The caller owns the files that came with
// it, which are close-on-exec. It returns io.EOF when the peer has gone and all
// that it sent was read, an error that wraps os.ErrClosed when this end is closed,
// and a *ProtocolError for anything that is not a message with as many
// descriptors as its kind has; then whatever descriptors came are closed already.
func (c *Conn) Receive() (Message, []*os.File, error) {
	var (
		m     Message
		files []*os.File
		err   error
	)
	closedErr := c.raw.Read(func(fd uintptr) bool {
		m, files, err = receive(int(fd))
		return !errors.Is(err, unix.EAGAIN)
	})
	if closedErr != nil {
		return nil, nil, fmt.Errorf("receive message: %w", os.ErrClosed)
	}
	return m, files, err
}

// packetBuffer has room for the largest message and for all the descriptors that
// the kernel passes with one, wanted or not: those that do not fit would be lost
// without a trace but MSG_CTRUNC.
type packetBuffer struct {
	packet  [MessageMax]byte
	control []byte
}

// packetBuffers lends a buffer for the time of one recvmsg, so that a master
// which waits for a thousand workers does not hold a thousand buffers.
var packetBuffers = sync.Pool{New: func() any {
	return &packetBuffer{control: make([]byte, unix.CmsgSpace(FDsMax*4))}
}}

// receive reads one packet without waiting; its error wraps EAGAIN when there
// is none.
func receive(fd int) (Message, []*os.File, error) {
	buffer := packetBuffers.Get().(*packetBuffer)
	defer packetBuffers.Put(buffer)

	n, controlSize, flags, err := receivePacket(fd, buffer)
	if err != nil {
		return nil, nil, os.NewSyscallError("recvmsg", err)
	}
	if n == 0 && controlSize == 0 {
		return nil, nil, io.EOF // or an empty packet, which is the same nonsense as none
	}
	fds, rightsErr := parseRights(buffer.control[:controlSize])
	m, err := openPacket(buffer.packet[:n], flags, len(fds))
	if err := errors.Join(rightsErr, err); err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	return m, newFiles(fds), nil
}

// receivePacket tries again after ECONNRESET: the kernel reports once that a peer
// died with messages unread, BEFORE it hands out what the peer sent, and a Left
// in there matters. Afterwards come those packets, then the end of the file
// (unix_release_sock and __skb_try_recv_datagram, Linux 6.18).
func receivePacket(fd int, buffer *packetBuffer) (n, controlSize, flags int, err error) {
	err = unix.EINTR
	for err == unix.EINTR || err == unix.ECONNRESET {
		n, controlSize, flags, _, err = unix.Recvmsg(fd, buffer.packet[:], buffer.control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	}
	return n, controlSize, flags, err
}

// parseRights returns every descriptor in a control buffer, also when there is
// an error: all of them are open, and somebody has to close them.
func parseRights(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, violation("control data of %d bytes: %v", len(control), err)
	}
	var fds []int
	for _, message := range messages {
		some, parseErr := unix.ParseUnixRights(&message)
		if parseErr != nil {
			err = violation("control message of level %d and type %d", message.Header.Level, message.Header.Type)
		}
		fds = append(fds, some...)
	}
	return fds, err
}

// openPacket decodes a packet that arrived whole, with the descriptors it needs.
func openPacket(packet []byte, flags, fds int) (Message, error) {
	if flags&unix.MSG_TRUNC != 0 {
		return nil, violation("message of more than %d bytes", MessageMax)
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return nil, violation("descriptors got lost on the way: is the limit of open files reached?")
	}
	m, err := DecodeMessage(packet)
	if err != nil {
		return nil, err
	}
	if want := m.kind().fds(); !want.allows(fds) {
		return nil, violation("%s with %d descriptors, not %v", m.kind(), fds, want)
	}
	return m, nil
}

func newFiles(fds []int) []*os.File {
	var files []*os.File
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "received by ipc"))
	}
	return files
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // nothing was written through it: its error tells nobody anything
	}
}
