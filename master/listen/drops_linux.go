package listen

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The figures of SO_MEMINFO, in the order of <linux/sock_diag.h>: those that
// sock_diag(7) shows as INET_DIAG_SKMEMINFO, for a descriptor that one holds. Linux
// 4.12 and later.
const (
	memoryFigures = 9 // SK_MEMINFO_VARS
	memoryDrops   = 8 // SK_MEMINFO_DROPS, sk_drops of the kernel's struct sock
)

// Drops tells how many packets the kernel has dropped at fd, a socket of any kind,
// since it was made; it wraps at 2^32. At a listening socket of TCP these are
// handshakes that its queue had no room for, first packet or last: the client tries
// again after a second, or takes a connection for open that nobody will answer.
// Handshakes that the client breaks off count too, and at a socket with
// TCP_DEFER_ACCEPT each one does, because its last packet is dropped on purpose:
// there the figure says nothing, and ok is false.
func Drops(fd int) (drops uint32, ok bool, err error) {
	if deferred, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT); err == nil && deferred > 0 {
		return 0, false, nil
	}
	var figures [memoryFigures]uint32
	size := uint32(unsafe.Sizeof(figures))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&figures)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, false, fmt.Errorf("read drops of a socket: %w", os.NewSyscallError("getsockopt SO_MEMINFO", errno))
	}
	return figures[memoryDrops], size == uint32(unsafe.Sizeof(figures)), nil
}
