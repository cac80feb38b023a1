package reactor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The system calls on sockets, without policy. Errors of the hot ones are bare
// errnos: their callers classify them.

// accept takes one connection, non-blocking and close-on-exec from its birth.
func accept(fd int) (int, error) {
	conn, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return conn, err
}

// read returns 0 and no error at the end of the stream.
func read(fd int, room []byte) (int, error) {
	for {
		n, err := unix.Read(fd, room)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func write(fd int, data []byte) (int, error) {
	for {
		n, err := unix.Write(fd, data)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// closeWrite sends FIN: the peer reads what is under way, then the end.
func closeWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// prepareListener makes sure that fd is a listening socket that cannot block
// the loop.
func prepareListener(fd int) error {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_ACCEPTCONN", err)
	}
	if listening == 0 {
		return errors.New("socket is not listening")
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return os.NewSyscallError("fcntl F_GETFL", err)
	}
	// Connections inherit TCP_NODELAY from their listening socket (tcp(7) does
	// not say so, but Linux copies it): one call here saves one for each of
	// them. Other families refuse it and need none.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if flags&unix.O_NONBLOCK != 0 {
		return nil
	}
	return os.NewSyscallError("fcntl O_NONBLOCK", unix.SetNonblock(fd, true))
}

// deferAccept has the kernel keep a connection among the handshakes until its
// client has sent something. The least that can be asked for is one retransmission
// of our SYN-ACK: that comes after a second, and the next sign of a silent client
// completes the handshake. Other families refuse it and need none: there a
// connection costs no packet that could wait for its first bytes.
func deferAccept(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1) }

// queueLength is the number of connections that wait to be accepted. For a
// listening TCP socket tcpi_unacked holds it (tcp_get_info() in Linux's
// net/ipv4/tcp.c).
func queueLength(fd int) (int, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, fmt.Errorf("read accept queue of fd %d: %w", fd, os.NewSyscallError("getsockopt TCP_INFO", err))
	}
	return int(info.Unacked), nil
}
