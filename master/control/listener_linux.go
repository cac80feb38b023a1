package control

import (
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// listener accepts at most as many connections as it has places; the others wait
// in the kernel's queue. It knows the peer of each.
type listener struct {
	net.Listener
	places  chan struct{}
	closedC chan struct{}
	close   sync.Once
}

func newListener(inner net.Listener, places int) *listener {
	return &listener{Listener: inner, places: make(chan struct{}, places), closedC: make(chan struct{})}
}

// Accept waits for a place first, so that a connection without one stays in the
// kernel's queue and costs no descriptor.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closedC:
		return nil, net.ErrClosed
	}
	accepted, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	inner := accepted.(*net.UnixConn)
	uid, err := peerUID(inner)
	return &connection{UnixConn: inner, leave: func() { <-l.places }, peer: peer{uid: uid, known: err == nil}}, nil
}

// Close wakes an Accept that waits for a place, too: http.Server.Shutdown waits
// until Accept has returned, whatever its ctx says.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.close.Do(func() {
		close(l.closedC)
		err = l.Listener.Close()
	})
	return err
}

// connection gives its place back when it is closed.
type connection struct {
	*net.UnixConn
	peer  peer
	leave func()
	close sync.Once
}

func (c *connection) Close() error {
	err := net.ErrClosed
	c.close.Do(func() {
		err = c.UnixConn.Close()
		c.leave()
	})
	return err
}

// peer is who stands at the other end.
type peer struct {
	uid   uint32
	known bool
}

func (p peer) isTrusted() bool { return p.known && isTrusted(p.uid) }

// peerUID asks the kernel who connected, or, on the client's side, who listens
// (SO_PEERCRED, unix(7)). The peer cannot forge it.
func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	var optionErr error
	err = raw.Control(func(fd uintptr) {
		credentials, optionErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil {
		return 0, err
	}
	if optionErr != nil {
		return 0, os.NewSyscallError("getsockopt SO_PEERCRED", optionErr)
	}
	return credentials.Uid, nil
}
