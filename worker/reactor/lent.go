package reactor

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Lent is a connection in the hands of an errand, which may use it until it returns.
// Its methods are for the errand's goroutine.
type Lent struct {
	fd     int32
	spare  int // the lowest descriptor that is left free, see spareDescriptor
	unread []byte

	mu   sync.Mutex
	conn net.Conn // nil: not asked for yet
	gone bool     // the loop has the connection again, or has closed it: fd may be another one's
}

// Unread is the input that the handler has left: what was read and not consumed. The
// errand's from here on.
func (l *Lent) Unread() []byte { return l.unread }

// Conn returns the connection itself, for reading what comes behind Unread and for
// writing. Its calls block, until a deadline that the errand sets: without one, until
// the loop closes the connection. Files are sent by sendfile(2), where Go can
// (net.TCPConn.ReadFrom). It is closed when the errand returns, which leaves the
// connection open. Errors: net.ErrClosed when the loop has closed the connection, or
// has it again; EMFILE, also while only those descriptors are left that connections
// leave free, and what else keeps the kernel from copying one.
func (l *Lent) Conn() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		return l.conn, nil
	}
	if l.gone {
		return nil, net.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("lend connection: %w", os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err))
	}
	if l.spare > 0 && fd >= l.spare {
		unix.Close(fd)
		return nil, fmt.Errorf("lend connection: %w", unix.EMFILE)
	}
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close() // FileConn has made its own copy
	if l.conn, err = net.FileConn(file); err != nil {
		return nil, fmt.Errorf("lend connection: %w", err)
	}
	return l.conn, nil
}

// giveBack ends the errand's use of the connection.
func (l *Lent) giveBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true // BEFORE the loop can close fd, for who asks after the end
	if l.conn != nil {
		_ = l.conn.Close() // the connection stays, by the loop's descriptor
	}
}

// cut ends a connection that is away: closing our descriptor alone would leave it
// open by the errand's. On the loop, BEFORE the descriptor is closed.
func (l *Lent) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	_ = unix.Shutdown(int(l.fd), unix.SHUT_RDWR) // fails if the client has done it
}
