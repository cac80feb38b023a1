package listen

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tcpListen is TCP_LISTEN of <net/tcp_states.h>.
const tcpListen = 10

// Queue tells how many established connections wait in fd's accept queue, and
// how many may. Handshakes under way are not in it.
func Queue(fd int) (length, limit int, err error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err == nil && domain == unix.AF_UNIX {
		length, limit, err = unixQueue(fd)
		if err != nil {
			return 0, 0, fmt.Errorf("read accept queue of a Unix socket: %w", err)
		}
		return length, limit, nil
	}
	return tcpQueue(fd)
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
