package listen

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Drops tells how many packets the kernel has dropped at fd, a socket of any kind,
// since it was made; it wraps at 2^32. At a listening socket of TCP a handshake that
// its queue has no room for is one, with its first packet or its last: the client tries
// again after a second, or takes a connection for open that nobody will answer. But
// packets that belong nowhere count too, and at a socket with TCP_DEFER_ACCEPT
// the last one of each handshake, which is dropped on purpose. See HostDrops.
func Drops(fd int) (uint32, error) {
	// SO_MEMINFO (Linux 4.12 and later) gives nine figures of 32 bits, in the order of
	// <linux/sock_diag.h>: those that sock_diag(7) shows as INET_DIAG_SKMEMINFO. The last
	// one, SK_MEMINFO_DROPS, comes to stand in the ninth word of a tcp_info.
	figures, err := unix.GetsockoptTCPInfo(fd, unix.SOL_SOCKET, unix.SO_MEMINFO)
	if err != nil {
		return 0, fmt.Errorf("read drops of a socket: %w", os.NewSyscallError("getsockopt SO_MEMINFO", err))
	}
	return figures.Lost, nil
}

// HostDrops tells how many handshakes the kernel has dropped at all listening sockets
// of this network namespace, ours and others', since it was made: ListenDrops of
// netstat(8). Each of them is one of Drops of its socket too (tcp_listendrop in
// include/net/tcp.h), and nothing else is: so no more handshakes are lost at a socket
// than either figure grows.
func HostDrops() (uint64, error) {
	text, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return 0, fmt.Errorf("read dropped handshakes: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "TcpExt:" {
			continue
		}
		if names == nil { // a line of names, then one of numbers
			names = words
			continue
		}
		if i := slices.Index(names, "ListenDrops"); i > 0 && i < len(words) {
			return strconv.ParseUint(words[i], 10, 64)
		}
	}
	return 0, errors.New("read dropped handshakes: /proc/net/netstat has no ListenDrops")
}
