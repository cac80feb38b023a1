package reactor

import (
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// Addresses returns the two ends of the connection whose handler runs; nil for an end
// that cannot be told, and both when none runs. They are asked of the kernel. On the
// loop only.
func (l *Loop) Addresses() (local, remote net.Addr) {
	if l.current == nil {
		return nil, nil
	}
	fd := int(l.current.fd)
	if end, err := unix.Getsockname(fd); err == nil {
		local = address(end)
	}
	if end, err := unix.Getpeername(fd); err == nil { // fails when the client has gone
		remote = address(end)
	}
	return local, remote
}

func address(end unix.Sockaddr) net.Addr {
	switch end := end.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: end.Addr[:], Port: end.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: end.Addr[:], Port: end.Port, Zone: zone(end.ZoneId)}
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: end.Name, Net: "unix"}
	}
	return nil
}

// zone names the link of a link-local address.
func zone(index uint32) string {
	if index == 0 {
		return ""
	}
	if link, err := net.InterfaceByIndex(int(index)); err == nil {
		return link.Name
	}
	return strconv.Itoa(int(index))
}
