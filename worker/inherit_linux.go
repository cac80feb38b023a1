package worker

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// The environment by which listening sockets come, as sd_listen_fds(3) has it.
const (
	envListenPID   = "LISTEN_PID"
	envListenFDs   = "LISTEN_FDS"
	envListenNames = "LISTEN_FDNAMES"
	envSiblings    = "PREFORK_SIBLING_FDS" // not sd_listen_fds(3)'s

	firstListener = 3   // SD_LISTEN_FDS_START
	listenersMax  = 512 // well below the usual limit of 1,024 open files
)

// inheritance is what a worker finds in its hands when it starts.
type inheritance struct {
	conn      *ipc.Conn
	listeners []int // listening sockets, close-on-exec
}

// inherit takes over what the master passed on, and removes the variables that
// told about it: they would mislead any child.
func inherit() (inheritance, error) {
	defer forgetEnvironment()
	dropSiblings()
	conn, err := inheritConn()
	if err != nil {
		return inheritance{}, err
	}
	listeners, err := inheritListeners()
	if err != nil {
		return inheritance{}, errors.Join(err, conn.Close())
	}
	return inheritance{conn: conn, listeners: listeners}, nil
}

func forgetEnvironment() {
	for _, name := range []string{ipc.EnvFD, envListenPID, envListenFDs, envListenNames, envSiblings} {
		_ = os.Unsetenv(name) // fails for names with '=' or NUL only
	}
}

// dropSiblings closes the sockets of siblings that a COMMAND is given with
// sibling-fds: a worker of ours is sent them, as those of its siblings change.
func dropSiblings() {
	for _, number := range strings.Split(os.Getenv(envSiblings), ",") {
		if fd, err := strconv.Atoi(number); err == nil && fd >= firstListener {
			_ = unix.Close(fd) // it was never used
		}
	}
}

func inheritConn() (*ipc.Conn, error) {
	value, set := os.LookupEnv(ipc.EnvFD)
	if !set {
		return nil, fmt.Errorf("%s is not set: %q is for the master, which starts its workers by it; use \"prefork run\"", ipc.EnvFD, Arg)
	}
	fd, err := strconv.Atoi(value)
	if err != nil {
		return nil, fmt.Errorf("%s is %q, not the number of a descriptor", ipc.EnvFD, value)
	}
	conn, err := ipc.Open(fd)
	if err != nil {
		return nil, fmt.Errorf("inherit the master's socket from %s: %w", ipc.EnvFD, err)
	}
	return conn, nil
}

func inheritListeners() ([]int, error) {
	count, err := countListeners()
	if err != nil {
		return nil, err
	}
	listeners := make([]int, count)
	for i := range listeners {
		listeners[i] = firstListener + i
		if err := adoptListener(listeners[i]); err != nil {
			return nil, fmt.Errorf("inherit listening socket %d of %d (fd %d): %w", i+1, count, listeners[i], err)
		}
	}
	return listeners, nil
}

// countListeners checks LISTEN_PID first. Without that check a process whose
// parent forgot to clean its environment would take that one's descriptors.
func countListeners() (int, error) {
	pid, fds := os.Getenv(envListenPID), os.Getenv(envListenFDs)
	if self := os.Getpid(); pid != strconv.Itoa(self) {
		return 0, fmt.Errorf("%s is %q, but this process is %d: its sockets are not for this process", envListenPID, pid, self)
	}
	count, err := strconv.Atoi(fds)
	if err != nil || count < 1 || count > listenersMax {
		return 0, fmt.Errorf("%s is %q, not a number from 1 to %d", envListenFDs, fds, listenersMax)
	}
	return count, nil
}

func adoptListener(fd int) error {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if listening == 0 {
		return errors.New("this socket does not listen")
	}
	unix.CloseOnExec(fd) // inherited descriptors are not, until somebody says so
	return nil
}
