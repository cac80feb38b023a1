package listen

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// nowhere is the number of a network interface that there is not.
const nowhere = math.MaxInt32

// Refuse takes the address away from new clients and leaves everything else: what
// waits in the queues can be accepted, and handshakes under way end there too. It
// cannot be undone. Sockets of systemd are not touched, because systemd listens
// on them too and expects them as they are.
//
// All sockets of one reuseport group have to refuse, also those that the group
// has released: the kernel looks at one and may choose another.
func (g *Group) Refuse() error {
	g.refused = true
	switch g.addr.Network {
	case config.NetworkSystemd:
		return nil
	case config.NetworkUnix:
		return g.file.remove()
	}
	errs := []error{g.dropClaim()}
	for _, fd := range g.fds {
		errs = append(errs, RefuseSocket(fd))
	}
	return errors.Join(errs...)
}

// RefuseSocket binds a listening socket of TCP to an interface that there is not.
// The look-up for a SYN then passes it over, as if it were closed
// (inet_lookup_listener and compute_score in net/ipv4/inet_hashtables.c), while a
// handshake under way is found by its request, which has the old binding. It
// needs no privilege since Linux 5.7, as long as the socket is bound to none yet.
//
// A socket filter that drops SYNs would leave clients waiting in place of refusing
// them, and Linux 6.18 lets nobody attach one without privilege.
func RefuseSocket(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, nowhere)
	if err == nil {
		return nil
	}
	if bound, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX); bound == nowhere {
		return nil // a second time needs privilege, and is not needed
	}
	return fmt.Errorf("have a listening socket refuse new connections: %w", os.NewSyscallError("setsockopt SO_BINDTOIFINDEX", err))
}
