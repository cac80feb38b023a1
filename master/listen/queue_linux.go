package listen

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tcpListen is TCP_LISTEN of <net/tcp_states.h>.
const tcpListen = 10

// Queue tells how many established connections wait in fd's accept queue, and
// how many may. Handshakes under way are not in it.
func Queue(fd int) (length, limit int, err error) {
	length, limit, err = tcpQueue(fd)
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return length, limit, err
	}
	length, limit, err = unixQueue(fd) // it knows no options of TCP
	if err != nil {
		return 0, 0, fmt.Errorf("read accept queue of a Unix socket: %w", err)
	}
	return length, limit, nil
}

// Lookout looks at the accept queues of many sockets at once. Its zero value is
// ready; it keeps its memory from one look to the next.
type Lookout struct{ polled []unix.PollFd }

// Count fills lengths with what waits in each of the sockets. Those that are empty
// cost one system call together, and each of the others one more. What cannot be
// looked at counts as empty: somebody has shut it down, or memory is short.
func (l *Lookout) Count(fds, lengths []int) {
	clear(lengths)
	l.polled = l.polled[:0]
	for _, fd := range fds {
		l.polled = append(l.polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		_, err = unix.Poll(l.polled, 0)
	}
	if err != nil {
		return
	}
	for i, p := range l.polled {
		if p.Revents == 0 {
			continue
		}
		if length, _, err := Queue(fds[i]); err == nil {
			lengths[i] = length
		}
	}
}

// tcpQueue asks for TCP_INFO. For a listening socket the kernel puts the two
// figures where it counts segments for others (tcp_get_info in net/ipv4/tcp.c).
func tcpQueue(fd int) (length, limit int, err error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, 0, fmt.Errorf("read accept queue: %w", os.NewSyscallError("getsockopt", err))
	}
	if info.State != tcpListen {
		return 0, 0, fmt.Errorf("read accept queue: socket is in state %d and does not listen", info.State)
	}
	return int(info.Unacked), int(info.Sacked), nil
}
