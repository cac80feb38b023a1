package notify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// Socket is where one worker's notifications arrive. One goroutine receives;
// Close may come from any.
type Socket struct {
	path string   // absolute, so that it can be removed from any working directory
	id   fileID   // of the file, so that nobody else's is removed
	file *os.File // owns the descriptor, non-blocking, on the runtime's poller
	raw  syscall.RawConn

	// The receiving goroutine's own. There is room for the largest message, one
	// byte to see that it is larger, and all that the kernel passes along.
	packet  [MessageMax + 1]byte
	control []byte
}

// Open makes the socket at path, for the owner alone (mode 0600) and
// close-on-exec. A socket there that nobody reads any more is replaced; anything
// else there is an error. It is a file, because many client libraries do not
// know abstract sockets, and its path is the worker's NOTIFY_SOCKET.
func Open(path string) (*Socket, error) {
	s, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open notify socket %s: %w", path, err)
	}
	return s, nil
}

func open(path string) (*Socket, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkPath(absolute); err != nil {
		return nil, err
	}
	if err := removeStale(absolute); err != nil {
		return nil, err
	}
	fd, err := newSocket()
	if err != nil {
		return nil, err
	}
	// From here on the file owns the descriptor.
	file := os.NewFile(uintptr(fd), absolute)
	id, err := bind(fd, absolute)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, os.Remove(absolute), file.Close())
	}
	return &Socket{path: absolute, id: id, file: file, raw: raw, control: make([]byte, controlMax)}, nil
}

// Path is absolute: a worker may have another working directory.
func (s *Socket) Path() string { return s.path }

// Chown gives the file to whom the worker runs as, if that is not us: sending
// needs the permission to write. A group alone could not, the mode is 0600.
func (s *Socket) Chown(uid, gid int) error {
	if err := os.Lchown(s.path, uid, gid); err != nil {
		return fmt.Errorf("give notify socket to uid %d: %w", uid, err)
	}
	return nil
}

// Close ends a Receive that waits and removes the file, unless something else
// has taken its place. A second call returns os.ErrClosed.
func (s *Socket) Close() error {
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("close notify socket: %w", err)
	}
	if id, err := fileIDOf(s.path); err != nil || id != s.id {
		return nil // whoever removed it has done our work; what stands there now is not ours
	}
	if err := os.Remove(s.path); err != nil {
		return fmt.Errorf("remove notify socket: %w", err)
	}
	return nil
}

// checkPath refuses what the kernel would refuse with "invalid argument".
func checkPath(path string) error {
	switch {
	case len(path) > config.SocketPathMax:
		return fmt.Errorf("the path has %d bytes, and the kernel takes at most %d: choose a shorter folder", len(path), config.SocketPathMax)
	case strings.ContainsRune(path, 0):
		return errors.New("not the path of a file")
	}
	return nil
}

// removeStale removes what a master that died has left at path. A socket that
// takes a connection has a reader: it is somebody's, and stays.
func removeStale(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("a file that is not a socket stands there: move it away")
	}
	switch err := probe(path); {
	case err == nil:
		return errors.New("another process reads there: is its master still running?")
	case !errors.Is(err, unix.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}

// probe connects a datagram socket, which sends nothing.
func probe(path string) error {
	fd, err := newSocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
}

// newSocket makes it non-blocking at once: only then os.NewFile gives it to the
// runtime's poller.
func newSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, os.NewSyscallError("socket", err)
}

// bind gives the socket its name. Both options come BEFORE it: a message that
// arrived without credentials could not be checked, and the file takes the
// socket's mode (less the umask, unix(7)), so that nobody else connects even for
// a moment.
func bind(fd int, path string) (fileID, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return fileID{}, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return fileID{}, os.NewSyscallError("fchmod", err)
	}
	switch err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); {
	case errors.Is(err, unix.ENOENT):
		return fileID{}, fmt.Errorf("its folder is not there (%w): create %s", os.NewSyscallError("bind", err), filepath.Dir(path))
	case err != nil:
		return fileID{}, os.NewSyscallError("bind", err)
	}
	id, err := fileIDOf(path)
	if err != nil {
		return fileID{}, errors.Join(err, os.Remove(path))
	}
	return id, nil
}

// fileID tells one file of the machine from another.
type fileID struct{ dev, ino uint64 }

func fileIDOf(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fileID{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return fileID{dev: uint64(st.Dev), ino: st.Ino}, nil
}
