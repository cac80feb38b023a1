package listen

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A listening socket is one open file for everybody who holds it: what one
// process does to it, all have. These put right what a worker did.

// Relisten has a socket listen again that somebody has shut down (shutdown(2)),
// and tells whether that was so. What had waited in its queue was reset then. The
// kernel has put it to the end of its reuseport group.
func Relisten(fd int) (revived bool, err error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return false, fmt.Errorf("look at listening socket: %w", os.NewSyscallError("getsockopt", err))
	}
	if listening != 0 {
		return false, nil
	}
	if err := unix.Listen(fd, backlogMax); err != nil {
		return false, fmt.Errorf("listen again: %w", os.NewSyscallError("listen", err))
	}
	return true, nil
}

// SetBlocking says whether accept waits on the socket (O_NONBLOCK, fcntl(2)).
// Programs that block one connection after the other need that; event loops ask
// for what they need themselves.
func SetBlocking(fd int, blocking bool) error {
	return os.NewSyscallError("fcntl", unix.SetNonblock(fd, !blocking))
}

// Undefer ends TCP_DEFER_ACCEPT (tcp(7)), which a worker may have asked for. A client
// that says nothing waits among the handshakes with it, where nobody can take
// it; without it the client comes to the accept queue when its handshake is next
// tried again, within about a second. A Unix socket has no such thing, and whoever
// waits there is in the queue already.
func Undefer(fd int) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 0)
	if err == nil || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return fmt.Errorf("end TCP_DEFER_ACCEPT: %w", os.NewSyscallError("setsockopt", err))
}

// Inode is the socket's number by which other processes show that they hold it:
// "socket:[INODE]" in /proc/PID/fd (proc_pid_fd(5)).
func Inode(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return st.Ino, nil
}
