package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Lock is held by the one master of a name. The kernel gives it back when the
// master dies, however it dies (flock(2)): a lock file without a master is just
// a file.
type Lock struct {
	path string
	// fd is a bare number and not an *os.File, whose finalizer would give the
	// lock away if somebody forgot the Lock.
	fd    int
	close sync.Once
}

// HeldError says that another process holds the lock.
type HeldError struct {
	Path string
	PID  int // of the holder; 0 when the lock file does not tell
}

func (e *HeldError) Error() string {
	holder := "its pid is not known"
	if e.PID != 0 {
		holder = "pid " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("another master of this name runs (%s; it holds %s): stop it with prefork stop, or choose another --name", holder, e.Path)
}

// errReplaced says that the file which was locked is no longer the one at the
// path.
var errReplaced = errors.New("the lock file was replaced while it was taken")

// TakeLock makes this process the one master that path stands for, and writes
// its pid into the file for the next one's error message. It makes the folder if
// need be. It does not wait: when somebody else holds the lock, the error is a
// *HeldError.
//
// Close removes the file. A file that is removed under flock invites a race: B
// opens the file, A removes it and leaves, B locks what has no name any more,
// C makes a new file and locks that. So whoever gets the lock looks again whether
// the path still leads to the file that it has locked, and else tries anew.
func TakeLock(path string) (*Lock, error) {
	// Each try loses to one other master that came and went in between.
	const triesMax = 100
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("take lock %s: %w", path, err)
	}
	if err := prepareFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	for range triesMax {
		fd, err := lockFile(path)
		if err == nil {
			return &Lock{path: path, fd: fd}, nil
		}
		if !errors.Is(err, errReplaced) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("take lock %s: %w %d times: look who starts and stops masters there", path, errReplaced, triesMax)
}

// Close removes the lock file and gives the lock back. A second call does
// nothing.
func (l *Lock) Close() error {
	var err error
	l.close.Do(func() {
		// BEFORE the lock goes, while nobody else can have made this file theirs.
		if isSameFile(l.fd, l.path) {
			err = unix.Unlink(l.path)
		}
		err = errors.Join(err, unix.Close(l.fd))
	})
	if err != nil {
		return fmt.Errorf("give back lock %s: %w", l.path, err)
	}
	return nil
}

// lockFile gives the descriptor of the locked file; after an error none is open.
func lockFile(path string) (int, error) {
	fd, err := openLockFile(path)
	if err != nil {
		return -1, err
	}
	if err := lockOpenFile(fd, path); err != nil {
		_ = unix.Close(fd) // the error at hand says more
		return -1, err
	}
	writePID(fd)
	return fd, nil
}

func lockOpenFile(fd int, path string) error {
	switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return &HeldError{Path: path, PID: readPID(fd)}
	case err != nil:
		return fmt.Errorf("take lock %s: %w", path, os.NewSyscallError("flock", err))
	case !isSameFile(fd, path):
		return errReplaced
	}
	return nil
}

func openLockFile(path string) (int, error) {
	// O_NOFOLLOW and O_NONBLOCK, so that neither a link nor a pipe of that name
	// leads elsewhere or hangs.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return -1, fmt.Errorf("open lock file %s: %w: choose another folder with --control", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd) // nothing was written
		return -1, fmt.Errorf("open lock file %s: not a regular file: move it away", path)
	}
	return fd, nil
}

// isSameFile reports whether path leads to the open file fd.
func isSameFile(fd int, path string) bool {
	var open, named unix.Stat_t
	return unix.Fstat(fd, &open) == nil && unix.Lstat(path, &named) == nil &&
		open.Dev == named.Dev && open.Ino == named.Ino
}

// writePID leaves a note for HeldError. A full disk costs only the note.
func writePID(fd int) {
	if unix.Ftruncate(fd, 0) == nil {
		_, _ = unix.Pwrite(fd, []byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
}

// readPID gives the holder's note, or 0 when it has not written one (yet).
func readPID(fd int) int {
	note := make([]byte, 32)
	n, err := unix.Pread(fd, note, 0)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(note[:n])))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
