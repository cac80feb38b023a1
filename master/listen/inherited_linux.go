package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	firstInherited = 3   // SD_LISTEN_FDS_START of sd_listen_fds(3)
	inheritedMax   = 512 // as many as a worker may get
	// unnamed is what sd_listen_fds_with_names(3) calls a socket without a name.
	unnamed = "unknown"
)

// Inherited are the listening sockets that systemd passed to this process. It
// owns those that no group has taken. A nil *Inherited has none.
type Inherited struct {
	fds   map[string][]int // by name, in the order in which they came
	given map[string]bool  // taken by a group, and closed with that

	passed bool // a group has taken some
}

// Inherit takes over what the environment names, if it is for the process pid:
// sockets that listen for streams. They are made close-on-exec and non-blocking,
// as all of ours. Call it once, BEFORE anything else may start a program.
func Inherit(environ []string, pid int) (*Inherited, error) {
	names, err := parseActivation(environ, pid)
	if err != nil {
		return nil, err
	}
	in := &Inherited{fds: map[string][]int{}, given: map[string]bool{}}
	for i, name := range names {
		fd := firstInherited + i
		if err := adopt(fd); err != nil {
			return nil, fmt.Errorf("take socket %d of %d from systemd (%s): %w", i+1, len(names), name, err)
		}
		in.fds[name] = append(in.fds[name], fd)
	}
	return in, nil
}

// parseActivation gives the names of the descriptors from firstInherited on, as
// sd_listen_fds_with_names(3) does.
func parseActivation(environ []string, pid int) (names []string, err error) {
	vars := map[string]string{}
	for _, entry := range environ {
		key, value, _ := strings.Cut(entry, "=")
		vars[key] = value
	}
	if vars["LISTEN_PID"] != strconv.Itoa(pid) {
		return nil, nil // for another process, or for none
	}
	count, err := strconv.Atoi(vars["LISTEN_FDS"])
	if err != nil || count < 1 || count > inheritedMax {
		return nil, fmt.Errorf("LISTEN_FDS is %.20q, not a number from 1 to %d: who starts this program must set it as sd_listen_fds(3) says", vars["LISTEN_FDS"], inheritedMax)
	}
	joined, named := vars["LISTEN_FDNAMES"]
	if !named {
		return slices.Repeat([]string{unnamed}, count), nil
	}
	if names = strings.Split(joined, ":"); len(names) != count {
		return nil, fmt.Errorf("LISTEN_FDNAMES has %d names for %d sockets: who starts this program must set it as sd_listen_fds(3) says", len(names), count)
	}
	return names, nil
}

// adopt checks that fd is a socket of the kind that workers accept from.
func adopt(fd int) error {
	unix.CloseOnExec(fd) // systemd clears it, and each worker gets what is its own
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_TYPE", err)
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case err != nil:
		return os.NewSyscallError("getsockopt SO_ACCEPTCONN", err)
	case kind != unix.SOCK_STREAM || listens == 0:
		return errors.New("it is no socket that listens for streams: the .socket unit needs ListenStream= and Accept=no")
	}
	return os.NewSyscallError("fcntl O_NONBLOCK", unix.SetNonblock(fd, true))
}

// take gives the sockets of a name to a group.
func (in *Inherited) take(name string) ([]int, error) {
	if in == nil || len(in.fds) == 0 && len(in.given) == 0 && !in.passed {
		return nil, fmt.Errorf("listen on systemd:%s: systemd has passed no sockets: start this service by a .socket unit with FileDescriptorName=%s", name, name)
	}
	if in.given[name] {
		return nil, fmt.Errorf("listen on systemd:%s: the socket went back to systemd when it was no longer configured: restart the service to get it again", name)
	}
	fds, ok := in.fds[name]
	if !ok {
		return nil, fmt.Errorf("listen on systemd:%s: systemd has passed no socket of this name%s: change the name here, or FileDescriptorName= in the .socket unit", name, butNames(in.Names()))
	}
	delete(in.fds, name)
	in.passed = true
	return fds, nil
}

// butNames says which names there are that nobody has taken yet.
func butNames(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", but " + strings.Join(names, ", ")
}

// giveBack notes that a group has closed what it took.
func (in *Inherited) giveBack(name string) { in.given[name] = true }

// Names lists the names whose sockets nobody has taken, in order.
func (in *Inherited) Names() (names []string) {
	if in == nil {
		return nil
	}
	for name := range in.fds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Close closes what nobody has taken. systemd still listens there.
func (in *Inherited) Close() error {
	var errs []error
	if in == nil {
		return nil
	}
	for _, fds := range in.fds {
		for _, fd := range fds {
			errs = append(errs, os.NewSyscallError("close", unix.Close(fd)))
		}
	}
	clear(in.fds)
	return errors.Join(errs...)
}

// nameOf is the address that a socket is bound to, as Group.Address writes it.
func nameOf(fd int) string {
	name, _ := unix.Getsockname(fd) // it is a socket: Inherit has asked it
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), uint16(name.Port)).String()
	case *unix.SockaddrUnix:
		return "unix:" + name.Name
	}
	return "a socket of another kind"
}
