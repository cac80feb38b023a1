package listen

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// bindInPlaceOfStale binds a name that is not free. A program that is killed
// cannot remove its socket: a file that nobody answers on is replaced. The error
// is EADDRINUSE when somebody does, and nothing but a socket is ever removed.
func bindInPlaceOfStale(addr config.Address, name string, bind func() error) error {
	unlock, err := lockFolder(addr)
	if err != nil {
		return err
	}
	defer unlock()
	if err := removeStale(addr, name); err != nil {
		return err
	}
	return bind()
}

// removeStaleBeside removes what a master that was killed has left beside the
// path. What cannot be removed is in nobody's way.
func removeStaleBeside(addr config.Address) {
	for n := range besideMax {
		name := besideName(addr.Path, n)
		if _, _, err := identify(name); err != nil {
			continue
		}
		if unlock, err := lockFolder(addr); err == nil {
			_ = removeStale(addr, name)
			unlock()
		}
	}
}

// lockFolder keeps other masters from replacing a stale socket at the same time:
// two could find it, and the slower one would remove the file that the faster one
// has just made. A folder that this user may not read is not locked.
func lockFolder(addr config.Address) (unlock func(), err error) {
	const tries, wait = 200, 10 // ms
	folder := filepath.Dir(addr.Path)
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() {}, nil
	}
	unlock = func() { _ = unix.Close(fd) } // the lock ends with it
	for range tries {
		if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return unlock, nil // a file system without locks is as good as none
		}
		_, _ = unix.Poll(nil, wait) // who has the lock holds it for a moment
	}
	unlock()
	return nil, fmt.Errorf("listen on %s: an old socket is there, and another program has locked %s for %d ms: end that program, or remove the socket", addr, folder, tries*wait)
}

// removeStale removes the file unless somebody listens there.
func removeStale(addr config.Address, name string) error {
	var st unix.Stat_t
	switch err := unix.Lstat(name, &st); {
	case errors.Is(err, unix.ENOENT):
		return nil // it has gone meanwhile
	case err != nil:
		return explainUnix(addr, os.NewSyscallError("lstat", err))
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return &refusedError{text: fmt.Sprintf("listen on %s: %s is there and is no socket, so it is left alone: move it away, or choose another path", addr, name), err: unix.EEXIST}
	}
	switch err := probe(name); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EACCES):
		return &refusedError{text: fmt.Sprintf("listen on %s: this user (id %d) may not ask whether somebody serves the socket that is there: remove it, or choose another path", addr, os.Geteuid()), err: err}
	case !errors.Is(err, unix.ECONNREFUSED), len(bound(name)) > 0:
		return unix.EADDRINUSE // bound and not listening yet: another master starts just now
	}
	if err := unix.Unlink(name); err != nil && !errors.Is(err, unix.ENOENT) {
		return explainUnix(addr, os.NewSyscallError("unlink", err))
	}
	return nil
}

// probe connects without waiting.
func probe(name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was said
	return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: name}))
}

func taken(addr config.Address, name string) error {
	return &TakenError{Address: addr.String(), Holder: holderOfPath(name)}
}

// holderOfPath names who listens there. A master's own fresh socket was bound
// beside the path, and the kernel still calls it by that name.
func holderOfPath(name string) string {
	sockets := bound(name)
	for n := range besideMax {
		sockets = append(sockets, bound(besideName(name, n))...)
	}
	if name, ok := processOf(sockets); ok {
		return name
	}
	return "a process that is not visible to this user"
}

// bound lists the sockets that are bound to a path as their process wrote it,
// listening ones first. Those of another network namespace are not in the table.
func bound(path string) (sockets []tableSocket) {
	lines, _ := os.ReadFile("/proc/net/unix") // without it nobody can be named
	for line := range strings.Lines(string(lines)) {
		if s, at, ok := parseUnixRow(line); ok && at == path {
			sockets = append(sockets, s)
		}
	}
	slices.SortStableFunc(sockets, listeningFirst)
	return sockets
}

// parseUnixRow reads one line (proc_net_unix(5)):
//
//	Num       RefCount Protocol Flags    Type St Inode Path
//	00000000: 00000002 00000000 00010000 0001 01 23456 /run/web.sock
//
// Accepted connections have the path of their listening socket; they are left out
// by their state.
func parseUnixRow(row string) (s tableSocket, path string, ok bool) {
	const (
		columnFlags, columnState, columnInode, columnPath = 3, 5, 6, 7

		flagListens      = "00010000" // __SO_ACCEPTCON of <linux/net.h>
		stateUnconnected = "01"       // SS_UNCONNECTED of <linux/net.h>, listening ones too
	)
	columns := strings.Fields(row)
	if len(columns) <= columnPath || columns[columnState] != stateUnconnected {
		return tableSocket{}, "", false
	}
	inode := columns[columnInode]
	_, path, _ = strings.Cut(row, " "+inode+" ") // it may hold spaces
	return tableSocket{listening: columns[columnFlags] == flagListens, inode: inode}, strings.TrimSuffix(path, "\n"), true
}
