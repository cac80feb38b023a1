package load

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// sourcesMax is the number of client addresses, 127.0.0.2 and up. Each has some
// 28,000 ports (net.ipv4.ip_local_port_range); together they last for 6,000
// connections a second even if each port stayed bound for 70 s.
const sourcesMax = 16

// state is what a connection does.
type state uint8

const (
	free    state = iota // carries no request; its socket may be open (kept) or not
	asking               // carries a request that is not answered yet
	parting              // answered; waits for the server to close
)

// connection is a place for one socket after another. The loop owns it.
type connection struct {
	index int32 // its place in loop.connections; epoll gives it back
	// life counts the sockets that the place has had; epoll gives it back too.
	// An event of an earlier socket is stale and says nothing about this one.
	life    int32
	fd      int // -1: none open
	state   state
	request int    // the number of the request that it carries, unless free
	output  []byte // what is left to write of it
	input   []byte // what the server sent since
	// stirred: the server sent bytes or FIN while the connection was free. The
	// edge is spent, so the next request must look without waiting for one.
	stirred bool
}

// socketAddresses are the two ends of a connection; from is nil for the kernel's
// choice.
type socketAddresses struct {
	family   int
	from, to unix.Sockaddr
}

// addressesOf gives connection number i its ends, spread over the sources.
func addressesOf(target netip.AddrPort, i int32) socketAddresses {
	if target.Addr().Is6() {
		return socketAddresses{
			family: unix.AF_INET6,
			to:     &unix.SockaddrInet6{Addr: target.Addr().As16(), Port: int(target.Port())},
		}
	}
	// From .2 on: a client on the target's own address could be given the
	// target's port and connect to itself (simultaneous open).
	return socketAddresses{
		family: unix.AF_INET,
		from:   &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i%sourcesMax)}},
		to:     &unix.SockaddrInet4{Addr: target.Addr().As4(), Port: int(target.Port())},
	}
}

// open begins to connect and registers the socket for every edge it can have.
// It does not wait: write finds out whether the connection stands.
func (c *connection) open(epoll int, ends socketAddresses) error {
	fd, err := unix.Socket(ends.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return openError{os.NewSyscallError("socket", err)}
	}
	c.fd = fd
	c.life++
	if err := connect(fd, ends); err != nil {
		c.close()
		return openError{err}
	}
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     c.index,
		Pad:    c.life,
	}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		c.close()
		return openError{os.NewSyscallError("epoll_ctl", err)}
	}
	return nil
}

func connect(fd int, ends socketAddresses) error {
	if ends.from != nil {
		// Leaves the choice of the port to connect, which knows the target (ip(7),
		// Linux 4.2). Without it bind takes a port for itself alone, and one in
		// TIME_WAIT could not be used again.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return os.NewSyscallError("setsockopt IP_BIND_ADDRESS_NO_PORT", err)
		}
		if err := unix.Bind(fd, ends.from); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := unix.Connect(fd, ends.to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	return nil
}

// write sends what is left of the request. Nothing left, or EAGAIN (the handshake
// is not done, the buffer is full), is no error: an edge follows.
func (c *connection) write() error {
	for len(c.output) > 0 {
		n, err := unix.Write(c.fd, c.output)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return os.NewSyscallError("write", err)
		default:
			c.output = c.output[n:]
		}
	}
	return nil
}

// read appends to input all that has come; ended says that the server closed.
func (c *connection) read(buffer []byte) (ended bool, err error) {
	for {
		n, err := unix.Read(c.fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case err != nil:
			return false, os.NewSyscallError("read", err)
		case n == 0:
			return true, nil
		case len(c.input)+n > answerMax:
			return false, fmt.Errorf("answer longer than %d bytes", answerMax)
		default:
			c.input = append(c.input, buffer[:n]...)
		}
	}
}

// close is harmless when no socket is open. Closing takes the socket out of epoll.
func (c *connection) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd) // this side has nothing left to send that could be lost
		c.fd = -1
	}
	c.stirred = false
}
