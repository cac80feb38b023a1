package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Self as Spec.Program[0] means the master's own image. The kernel keeps it for
// as long as the master runs, also when the file has been replaced or deleted,
// so that one master never starts two versions of itself.
const Self = "/proc/self/exe"

const (
	// listenersMax keeps what a worker inherits well below 1,024, the usual
	// soft limit for open files.
	listenersMax = 512
	// listenerNameMax is sd_listen_fds_with_names(3)'s limit for one name.
	listenerNameMax = 255
)

// Spec says what to start.
type Spec struct {
	// Program is the argument vector. Program[0] without a slash is looked up
	// in PATH of Env; with one it is relative to Dir. Self gets a readable name
	// in ps in place of the path.
	Program []string
	// Env is the whole environment, apart from what Start itself sets:
	// LISTEN_*, NOTIFY_SOCKET, WATCHDOG_* and PREFORK_*. See Inheritable.
	Env []string
	// Listeners become file descriptors 3, 4, … in this order.
	Listeners []Listener
	// Siblings are sockets of other slots that the worker may accept from, too, in
	// the order in which it should: they come behind the listeners, and
	// PREFORK_SIBLING_FDS has their numbers. They stay the caller's, as Listeners do.
	Siblings []int
	// IPC is the worker's end of its message socket; nil for a program that
	// does not speak our protocol. It comes behind all listening sockets.
	IPC *os.File
	// Notify is the path of the worker's own sd_notify(3) socket; empty: it has
	// none.
	Notify string
	// Watchdog is how often the worker has to be heard of there, if it wants to be
	// watched; 0: it cannot be.
	Watchdog   time.Duration
	Slot       int
	Generation uint64
	// Dir is the working folder; empty for the master's.
	Dir string
}

// Listener is one socket to pass on.
type Listener struct {
	// FD stays the caller's. It must be open until Start has returned.
	FD int
	// Name goes into LISTEN_FDNAMES: 1 to 255 printable ASCII bytes, no colon.
	Name string
}

func (s Spec) check() error {
	if len(s.Program) == 0 || s.Program[0] == "" {
		return errors.New("no program given")
	}
	if n := len(s.Listeners) + len(s.Siblings); n > listenersMax {
		return fmt.Errorf("%d listening sockets for one worker: at most %d", n, listenersMax)
	}
	for _, l := range s.Listeners {
		if !validListenerName(l.Name) {
			return fmt.Errorf("listener name %.64q: want 1 to %d printable ASCII bytes without a colon", l.Name, listenerNameMax)
		}
	}
	return nil
}

func validListenerName(name string) bool {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' || r == ':' }
	return name != "" && len(name) <= listenerNameMax && !strings.ContainsFunc(name, unprintable)
}
