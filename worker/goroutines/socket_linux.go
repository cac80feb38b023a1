package goroutines

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lingerTime bounds how long a connection that we have closed may throw away
// input: enough for a round trip, so that the client reads our last answer and
// closes first.
const lingerTime = 2 * time.Second

// errNoSendfile says that sendfile(2) cannot do it, and that nothing was sent.
var errNoSendfile = errors.New("sendfile is not possible here")

// look reads what is there without waiting. more is false when the client has
// ended, or is gone.
func (c *conn) look(p []byte) (n int, more bool) {
	if c.secure == nil {
		return c.lookRaw(p)
	}
	// A read that waits beside a handler keeps TLS locked until its deadline.
	if err := c.file.SetReadDeadline(time.Now().Add(lingerTime)); err != nil {
		return 0, false
	}
	c.wire.looking.Store(true)
	defer c.wire.looking.Store(false)
	n, err := c.secure.Read(p)
	return n, n > 0 || errors.Is(err, os.ErrDeadlineExceeded)
}

// lookRaw looks into the socket, below TLS.
func (c *conn) lookRaw(p []byte) (n int, more bool) {
	// A deadline that has passed would keep us from looking.
	if err := c.file.SetReadDeadline(time.Now().Add(lingerTime)); err != nil {
		return 0, false
	}
	var err error
	rawErr := c.raw.Read(func(fd uintptr) bool {
		for {
			n, err = unix.Read(int(fd), p)
			if err != unix.EINTR {
				return true
			}
		}
	})
	if rawErr != nil {
		return 0, false
	}
	return max(n, 0), n > 0 || err == unix.EAGAIN
}

// linger closes our side and waits for the client to close its own, throwing away
// what it sends.
func (c *conn) linger() {
	if err := c.CloseWrite(); err == nil { // else the client has gone
		c.discard()
	}
}

// discard throws away what the client sends, until it ends.
func (c *conn) discard() {
	if err := c.file.SetReadDeadline(time.Now().Add(lingerTime)); err != nil {
		return
	}
	var waste [4 << 10]byte
	for {
		if _, err := c.file.Read(waste[:]); err != nil {
			break
		}
	}
	c.becomeEnded()
}

// CloseWrite sends FIN: the client reads what is under way, then the end.
func (c *conn) CloseWrite() error {
	if c.secure != nil {
		_ = c.secure.CloseWrite() // the end of TLS; there is none before a handshake is complete
	}
	return c.shutWrite()
}

func (c *conn) shutWrite() error {
	var err error
	if rawErr := c.raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) }); rawErr != nil {
		err = rawErr
	}
	return c.failed("shutdown", err)
}

func localAddr(fd int) net.Addr {
	address, err := unix.Getsockname(fd)
	return asAddr(address, err)
}

// remoteAddr is empty when the client has gone again already.
func remoteAddr(fd int) net.Addr {
	address, err := unix.Getpeername(fd)
	return asAddr(address, err)
}

func asAddr(address unix.Sockaddr, err error) net.Addr {
	if err != nil {
		return &net.TCPAddr{}
	}
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port, Zone: zone(a.ZoneId)}
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: a.Name, Net: "unix"}
	}
	return &net.TCPAddr{}
}

// zone names an interface, for link-local addresses.
func zone(index uint32) string {
	if index == 0 {
		return ""
	}
	if found, err := net.InterfaceByIndex(int(index)); err == nil {
		return found.Name
	}
	return ""
}
