package config

import (
	"net/netip"
	"strconv"
	"strings"
)

// Address is one place to listen on. Addresses are comparable with ==.
type Address struct {
	// Network is "tcp4", "tcp6", or "tcp" for all interfaces in both families:
	// then IP is :: and the socket has IPV6_V6ONLY off. It is "unix" for a Unix
	// socket and "systemd" for one that systemd has opened; then Host, IP and
	// Port have their zero values.
	Network string
	// Host is what the operator wrote before the port, without brackets: an IP
	// address in its shortest form, "localhost", "*", or empty.
	Host string
	// IP is what Host stands for, never a name that would need a look-up.
	IP netip.Addr
	// Port is 0..65535; 0 lets the kernel choose one.
	Port int
	// Path is the file of a Unix socket: absolute and without detours, so that
	// two of them are the same file only if they are equal.
	Path string
	// Mode are the permission bits of a Unix socket, UnixModeDefault if the
	// operator wrote none.
	Mode uint32
	// User and Group own a Unix socket, by name or number; empty: the master's.
	User, Group string
	// Name is the FileDescriptorName= of a systemd socket.
	Name string
}

// The values of Address.Network beside those of TCP.
const (
	NetworkUnix    = "unix"
	NetworkSystemd = "systemd"
)

const portMax = 65535

// ParseAddress reads host:port, [v6]:port, :port (all interfaces, IPv4 and
// IPv6), *:port (the same) or localhost:port (127.0.0.1). `[::]` means both
// families as well, as it does in most servers on Linux. It also reads
// unix:PATH with options, see parseUnix, and systemd:NAME.
//
// Other host names are refused: a name can change its meaning between two
// reloads, and a look-up can hang the start.
func ParseAddress(s string) (Address, error) {
	if rest, ok := strings.CutPrefix(s, "unix:"); ok {
		return parseUnix(s, rest)
	}
	if name, ok := strings.CutPrefix(s, "systemd:"); ok {
		return parseSystemd(s, name)
	}
	if err := refuseOtherKinds(s); err != nil {
		return Address{}, err
	}
	host, bracketed, rawPort, err := splitHostPort(s)
	if err != nil {
		return Address{}, err
	}
	port, ok := parseNumber(rawPort, portMax)
	if !ok {
		return Address{}, refuse(s, "the port %.20q is not a number from 0 to %d: write one after the last colon", rawPort, portMax)
	}
	a := Address{Host: host, Port: port}
	if bracketed {
		a.IP, err = parseIPv6(s, host)
		a.Host = a.IP.String()
	} else {
		a.IP, err = parsePlainHost(s, host)
	}
	if err != nil {
		return Address{}, err
	}
	a.Network = networkOf(a.IP)
	return a, nil
}

// String gives the address as an operator writes it; ParseAddress reads it back.
func (a Address) String() string {
	switch a.Network {
	case NetworkUnix:
		return a.unixString()
	case NetworkSystemd:
		return "systemd:" + a.Name
	}
	port := strconv.Itoa(a.Port)
	if strings.Contains(a.Host, ":") {
		return "[" + a.Host + "]:" + port
	}
	return a.Host + ":" + port
}

// IsTCP reports whether the address is one of TCP that we bind ourselves.
func (a Address) IsTCP() bool { return a.Network != NetworkUnix && a.Network != NetworkSystemd }

// SamePlace reports whether clients find a and b at the same place, however the
// operator wrote them: localhost:80 is 127.0.0.1:80. Addresses with port 0 are
// the same when whatever port one got would do for the other. Mode and owner of
// a Unix socket do not count.
func (a Address) SamePlace(b Address) bool {
	return a.Network == b.Network && a.IP == b.IP && a.Port == b.Port && a.Path == b.Path && a.Name == b.Name
}

// Overlaps reports whether a connection could belong to both addresses, so that
// only one of them can be bound. Port 0 never overlaps: each gets its own port.
func (a Address) Overlaps(b Address) bool {
	if !a.IsTCP() || !b.IsTCP() {
		return a.SamePlace(b)
	}
	if a.Port == 0 || a.Port != b.Port {
		return false
	}
	return a.IP == b.IP || a.Covers(b) || b.Covers(a)
}

// Covers reports whether a is for all interfaces and takes every connection that
// b would take. Both are of TCP.
func (a Address) Covers(b Address) bool {
	return a.IP.IsUnspecified() && (a.Network == "tcp" || a.Network == b.Network)
}

func mustAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic("config: a default address does not parse: " + err.Error()) // a test parses the defaults
	}
	return a
}

// refuseOtherKinds explains the forms that people try and that are not host:port.
func refuseOtherKinds(s string) error {
	switch {
	case s == "":
		return refuse(s, "no address: write host:port, for example 127.0.0.1:8080")
	case s[0] == '/':
		return refuse(s, "no port: write host:port, or for a Unix socket unix:%.100s", printable(s))
	case strings.Contains(s, "://"):
		_, rest, _ := strings.Cut(s, "://")
		hostPort, _, _ := strings.Cut(rest, "/")
		return refuse(s, "this is a URL: did you mean %.100q?", hostPort)
	}
	return nil
}

// splitHostPort cuts s at its last colon. It stands here and not in package net
// because this package may not import net, and because it names the mistake.
func splitHostPort(s string) (host string, bracketed bool, port string, err error) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, port, ok = strings.Cut(rest, "]:")
		if !ok {
			return "", false, "", refuse(s, "no port after the bracket: write [address]:port, for example [::1]:8080")
		}
		return host, true, port, nil
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return "", false, "", refuseWithoutPort(s)
	}
	host, port = s[:colon], s[colon+1:]
	if strings.Contains(s, ",") {
		return "", false, "", refuse(s, "one address at a time: give the flag again for each, separate them by spaces in a variable, or write a list in the file")
	}
	if strings.Contains(host, ":") {
		return "", false, "", refuse(s, "an IPv6 address needs brackets, or nobody knows where the port begins: write [address]:port, for example [::1]:8080")
	}
	return host, false, port, nil
}

func refuseWithoutPort(s string) error {
	if port, isPort := parseNumber(s, portMax); isPort {
		return refuse(s, "a port without a host: write 127.0.0.1:%d for this machine only, or :%d for all interfaces", port, port)
	}
	return refuse(s, "no port: write host:port, for example 127.0.0.1:8080")
}

func parseIPv6(s, host string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil || ip.Is4():
		return netip.Addr{}, refuse(s, "%.100q is not an IPv6 address: only those stand in brackets", host)
	case ip.Is4In6():
		return netip.Addr{}, refuse(s, "an IPv4 address in IPv6 clothes: write %s without brackets", ip.Unmap())
	case ip.Zone() != "":
		return netip.Addr{}, refuse(s, "addresses with a zone (%.20q) are not supported yet: write an address without one", ip.Zone())
	}
	return ip, refuseMulticast(s, ip)
}

// parsePlainHost reads what may stand before the port without brackets.
func parsePlainHost(s, host string) (netip.Addr, error) {
	switch host {
	case "", "*":
		return netip.IPv6Unspecified(), nil
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		return ip, refuseMulticast(s, ip)
	case strings.Trim(host, "0123456789.") == "":
		return netip.Addr{}, refuse(s, "%.100q is not an IPv4 address: write four numbers from 0 to 255 without leading zeros", host)
	case Suggest(host, []string{"localhost"}) != "":
		return netip.Addr{}, refuse(s, "%.100q is a host name, and only localhost is known without a look-up: did you mean localhost?", host)
	}
	return netip.Addr{}, refuse(s, "%.100q is a host name, and a name can change its meaning: write its IP address", host)
}

func refuseMulticast(s string, ip netip.Addr) error {
	if ip.IsMulticast() {
		return refuse(s, "a multicast address cannot take TCP connections: write an address of this machine")
	}
	return nil
}

func networkOf(ip netip.Addr) string {
	switch {
	case ip.Is4():
		return "tcp4"
	case ip.IsUnspecified():
		return "tcp"
	default:
		return "tcp6"
	}
}
