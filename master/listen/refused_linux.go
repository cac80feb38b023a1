package listen

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// explain turns the error of a system call for addr into words.
func explain(addr config.Address, err error) error {
	reason := ""
	switch {
	case errors.Is(err, unix.EADDRINUSE) && addr.Port == 0:
		reason = "no port is free (net.ipv4.ip_local_port_range): choose one that is"
	case errors.Is(err, unix.EADDRINUSE):
		return &TakenError{Address: addr.String(), Holder: holder(addr)}
	case errors.Is(err, unix.EACCES):
		reason = fmt.Sprintf("ports below %s need root or CAP_NET_BIND_SERVICE: choose a higher port, or let systemd grant it (AmbientCapabilities=CAP_NET_BIND_SERVICE)", unprivilegedPort())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		reason = fmt.Sprintf("this machine has no address %s: \"ip address\" shows which it has", addr.IP)
	case errors.Is(err, unix.EMFILE):
		reason = "too many open files: each address costs one for every slot; raise the limit (ulimit -n, in a systemd unit LimitNOFILE=)"
	case errors.Is(err, unix.EAFNOSUPPORT):
		reason = "this machine has no IPv6: choose an IPv4 address, such as 0.0.0.0 for all interfaces"
	}
	if reason == "" {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	return &refusedError{text: fmt.Sprintf("listen on %s: %s", addr, reason), err: err}
}

// refusedError is an error in words whose errno can still be asked for.
type refusedError struct {
	text string
	err  error
}

func (e *refusedError) Error() string { return e.text }

func (e *refusedError) Unwrap() error { return e.err }

// unprivilegedPort is the first port that anybody may bind; see ip(7).
func unprivilegedPort() string {
	port, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return "1024" // the kernel's default
	}
	return strings.TrimSpace(string(port))
}
