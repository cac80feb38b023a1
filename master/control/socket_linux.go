package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// backlogMax is how many clients the kernel keeps while connectionsMax are
// being served; net.core.somaxconn may lower it.
const backlogMax = 1024

// socket is a bound and listening control socket, and the file that is its name.
type socket struct {
	listener *net.UnixListener
	path     string // absolute, so that it can be removed from any working directory
	dev, ino uint64 // of the file, so that nobody else's is removed
}

// bindSocket makes the control socket at path. The caller holds the lock: that
// is why a socket which nobody answers on may be replaced.
func bindSocket(path string) (*socket, error) {
	if err := checkSocketPath(path); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find control socket %s: %w", path, err)
	}
	if err := prepareFolder(filepath.Dir(absolute)); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	s := &socket{path: absolute}
	if err := s.listen(path); err != nil {
		return nil, err
	}
	return s, nil
}

// remove takes the name away, unless something else has taken its place. Clients
// find no master from then on.
func (s *socket) remove() error {
	if dev, ino, err := fileID(s.path); err != nil || dev != s.dev || ino != s.ino {
		return nil // whoever removed it has done our work; what stands there now is not ours
	}
	if err := os.Remove(s.path); err != nil {
		return fmt.Errorf("remove control socket: %w", err)
	}
	return nil
}

// listen binds path, as it was given since that may be shorter, and then
// remembers which file that made.
func (s *socket) listen(path string) error {
	fd, err := boundSocket(path)
	if err != nil {
		return fmt.Errorf("listen on control socket %s: %w: choose another place with --control", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close() // FileListener works on a duplicate
	listener, err := net.FileListener(file)
	if err != nil {
		return errors.Join(fmt.Errorf("listen on control socket %s: %w", path, err), os.Remove(path))
	}
	s.listener = listener.(*net.UnixListener)
	// Close must not unlink by name: at that time another master's socket may
	// stand there.
	s.listener.SetUnlinkOnClose(false)
	if s.dev, s.ino, err = fileID(s.path); err != nil {
		return errors.Join(fmt.Errorf("look at control socket: %w", err), s.listener.Close(), os.Remove(path))
	}
	return nil
}

// boundSocket gives a listening descriptor; after an error nothing is left.
func boundSocket(path string) (int, error) {
	fd, err := newSocket()
	if err != nil {
		return -1, err
	}
	if err := bindAndListen(fd, path); err != nil {
		_ = unix.Close(fd) // the error at hand says more
		return -1, err
	}
	return fd, nil
}

func newSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, os.NewSyscallError("socket", err)
}

func bindAndListen(fd int, path string) error {
	// BEFORE bind, which gives the file the socket's own mode (less the umask,
	// unix(7)): a chmod after it would leave a moment in which anybody connects.
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, backlogMax); err != nil {
		return errors.Join(os.NewSyscallError("listen", err), os.Remove(path))
	}
	return nil
}

// checkSocketPath refuses what the kernel would refuse with "invalid argument",
// and an abstract socket, which has no owner and no mode.
func checkSocketPath(path string) error {
	switch {
	case path == "":
		return errors.New("the control socket has no path: give one with --control")
	case len(path) > config.SocketPathMax:
		return fmt.Errorf("control socket %s: the path has %d bytes, and the kernel takes at most %d: choose a shorter one with --control",
			path, len(path), config.SocketPathMax)
	case path[0] == '@' || strings.ContainsRune(path, 0):
		return fmt.Errorf("control socket %q: not the path of a file: choose another one with --control", path)
	}
	return nil
}

// removeStale removes the socket file of a dead master. It asks the socket
// first, because the lock only speaks for masters of one name: a socket that
// answers belongs to somebody, and is never removed.
func removeStale(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control socket %s: a file that is not a socket stands there: move it away, or choose another place with --control", path)
	}
	switch err := probe(path); {
	case errors.Is(err, unix.ECONNREFUSED):
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the socket of a dead master: %w", err)
		}
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil && !errors.Is(err, unix.EAGAIN): // EAGAIN: alive, its queue is full
		return fmt.Errorf("control socket %s: a socket that is not a dead master's stands there (%w): choose another place with --control", path, err)
	}
	return fmt.Errorf("control socket %s: another program listens there: stop it, or choose another place with --control", path)
}

// probe connects to a Unix socket without waiting.
func probe(path string) error {
	fd, err := newSocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
}

// fileID tells one file of the machine from another.
func fileID(path string) (dev, ino uint64, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, 0, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return uint64(st.Dev), st.Ino, nil
}
