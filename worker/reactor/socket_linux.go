package reactor

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls on sockets, without policy. Errors of the hot ones are bare
// errnos: their callers classify them.
//
// What is done to a connection is done without telling Go's scheduler: on a
// non-blocking socket it never sleeps, and telling costs a tenth of the call. The
// calls are package syscall's: x/sys would take them through the stack.

// accept takes one connection, non-blocking and close-on-exec from its birth.
func accept(fd int) (int, error) {
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	conn, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, flags, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(conn), nil
}

// read returns 0 and no error at the end of the stream.
func read(fd int32, room []byte) (int, error) { return transfer(unix.SYS_RECVFROM, fd, room, 0) }

// write sends data. The last of a stream waits for the end, which the caller sends right
// after it: they travel together, and a packet that nobody needs is saved on both sides
// (send(2): MSG_MORE).
func write(fd int32, data []byte, last bool) (int, error) {
	const flags = unix.MSG_NOSIGNAL
	if last {
		return transfer(unix.SYS_SENDTO, fd, data, flags|unix.MSG_MORE)
	}
	return transfer(unix.SYS_SENDTO, fd, data, flags)
}

// transfer is recv(2) or send(2), which know that they have a socket before them:
// read(2) and write(2) would look for a file's position first. A signal that comes
// before anything has been transferred is no error.
func transfer(call uintptr, fd int32, data []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)),
			flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// closeSocket gives the descriptor back. Whatever it says, the number is free
// afterwards (close(2)).
func closeSocket(fd int32) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// closeWrite sends FIN: the peer reads what is under way, then the end.
func closeWrite(fd int32) error { return unix.Shutdown(int(fd), unix.SHUT_WR) }

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
