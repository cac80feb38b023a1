package listen

import (
	"math"
	"os"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// backlogMax asks for the longest accept queue that the machine allows: the
// kernel cuts it to net.core.somaxconn (listen(2)).
const backlogMax = math.MaxInt32

// openListener opens a socket that listens on addr as one of a group.
func openListener(addr config.Address) (int, error) {
	return openSocket(addr, reuseAddress, chooseFamilies, reusePort, bind, listen)
}

// openClaim opens a socket that listens on addr alone. It is how somebody else
// is noticed: a listener with SO_REUSEPORT joins any other of the same user, so
// that two masters would share the address without an error, and each would get
// half of the other's connections.
//
// To look and go away would not do, because two masters can look at the same
// time, for example when both are started at boot. The claim excludes every
// other listener until a socket of the group stands beside it. It answers
// nobody meanwhile, so closing it resets nothing.
func openClaim(addr config.Address) (int, error) {
	// reusePort comes AFTER listen has found nobody: it lets the group's own
	// sockets pass, and the kernel looks at it whenever one is bound.
	return openSocket(addr, reuseAddress, chooseFamilies, bind, deafen, listen, reusePort)
}

// step is one thing to do with a new socket for addr.
type step func(fd int, addr config.Address) error

// openSocket makes a socket and takes the steps in their order. After an error,
// which says what to do about it, there is no socket.
func openSocket(addr config.Address, steps ...step) (int, error) {
	domain := unix.AF_INET
	if addr.IP.Is6() {
		domain = unix.AF_INET6
	}
	// A socket of net.ListenConfig could be MPTCP, where BPF programs on the
	// reuseport group are refused (EOPNOTSUPP). IPPROTO_TCP never is.
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	if err != nil {
		return noFD, explain(addr, os.NewSyscallError("socket", err))
	}
	for _, take := range steps {
		if err := take(fd, addr); err != nil {
			_ = unix.Close(fd) // nothing was done with it
			return noFD, explain(addr, err)
		}
	}
	return fd, nil
}

// reuseAddress lets an address be bound while connections of an earlier run are
// in TIME_WAIT, which otherwise reads as taken for a minute (socket(7)). It does
// not let two sockets listen.
func reuseAddress(fd int, _ config.Address) error {
	return setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
}

func reusePort(fd int, _ config.Address) error {
	return setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

// chooseFamilies says whether an IPv6 socket takes IPv4 as well: the default is
// the machine's (net.ipv6.bindv6only), and "tcp" always means both.
func chooseFamilies(fd int, addr config.Address) error {
	switch {
	case addr.IP.Is4():
		return nil
	case addr.Network == "tcp":
		return setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	return setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
}

// deafen makes the socket drop every packet that was forwarded or sent with a
// usual lifetime, as if it had never come; the client sends it again after a
// second. TTL and hop limit must be 255 (IP_MINTTL, ip(7), IPV6_MINHOPCOUNT,
// RFC 5082). A socket filter would drop those too, but Linux 6.18 gives
// SO_ATTACH_FILTER to nobody without privilege.
func deafen(fd int, addr config.Address) error {
	const hopsMax = 255
	if addr.IP.Is6() {
		if err := setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, hopsMax); err != nil {
			return err
		}
	}
	return setOption(fd, unix.IPPROTO_IP, unix.IP_MINTTL, hopsMax) // also IPv4 on an IPv6 socket
}

func bind(fd int, addr config.Address) error {
	var name unix.Sockaddr = &unix.SockaddrInet6{Port: addr.Port, Addr: addr.IP.As16()}
	if addr.IP.Is4() {
		name = &unix.SockaddrInet4{Port: addr.Port, Addr: addr.IP.As4()}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, name))
}

func listen(fd int, _ config.Address) error {
	return os.NewSyscallError("listen", unix.Listen(fd, backlogMax))
}

func setOption(fd, level, name, value int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value))
}

func portOf(fd int) (int, error) {
	name, err := unix.Getsockname(fd)
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return name.Port, nil
	case *unix.SockaddrInet6:
		return name.Port, nil
	}
	return 0, os.NewSyscallError("getsockname", err)
}
