package notify

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// ancestorsMax bounds the walk from a sender up to the worker: more than any
	// chain of shells that somebody meant.
	ancestorsMax = 64
	// walksMax is how often the walk begins again because an ancestor ended
	// meanwhile: its children then have another parent.
	walksMax = 3
)

// errGone tells that a process has ended and was waited for.
var errGone = errors.New("the process has ended")

// checkSender returns nil when the sender belongs to the worker, otherwise in
// words why it must not speak.
func checkSender(sender, worker int) error {
	switch {
	case worker <= 0:
		return errors.New("there is no worker that it could come from")
	case sender <= 0:
		return errors.New("the kernel does not say who sent it: the sender is in another PID namespace")
	}
	belongs, err := belongs(sender, worker)
	switch {
	case errors.Is(err, errGone):
		return errors.New("the sender ended before it could be checked: send it from the worker itself, or wait with sd_notify_barrier(3) as systemd-notify does without --no-block")
	case err != nil:
		return fmt.Errorf("the sender cannot be checked: %w", err)
	case !belongs:
		return fmt.Errorf("the sender is neither the worker, process %d, nor a descendant of it", worker)
	}
	return nil
}

// belongs tells whether the sender is the worker, or it or an ancestor is in the
// worker's process group or a child of the worker. It returns errGone when the
// sender has ended, which it may do at any time.
func belongs(sender, worker int) (bool, error) {
	if sender == worker {
		return true, nil // it needs not be there any more
	}
	var err error
	for range walksMax {
		var found bool
		if found, err = walk(sender, worker); !errors.Is(err, errOrphaned) {
			return found, err
		}
	}
	return false, err
}

// errOrphaned tells that an ancestor ended during the walk.
var errOrphaned = errors.New("an ancestor of it has ended meanwhile")

func walk(sender, worker int) (bool, error) {
	self := os.Getpid()
	pid := sender
	// The master and init are above every worker: from there on nobody belongs.
	for steps := 0; pid > 1 && pid != self && steps < ancestorsMax; steps++ {
		parent, group, err := relatives(pid)
		switch {
		case errors.Is(err, errGone) && pid != sender:
			return false, errOrphaned
		case err != nil:
			return false, err
		case group == worker || parent == worker:
			return true, nil
		}
		pid = parent
	}
	return false, nil
}

// relatives reads a process's parent and process group from /proc/PID/stat,
// "pid (name) state parent group …", where the name may hold anything,
// parentheses too (proc_pid_stat(5)). A zombie still has both.
func relatives(pid int) (parent, group int, err error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) { // ESRCH: it ended between open and read
		return 0, 0, errGone
	}
	if err != nil {
		return 0, 0, err
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // the first is the state
	if len(fields) < 3 {
		return 0, 0, fmt.Errorf("%s has %d fields after the name, not 3 or more", path, len(fields))
	}
	parent, parentErr := strconv.Atoi(string(fields[1]))
	group, groupErr := strconv.Atoi(string(fields[2]))
	return parent, group, errors.Join(parentErr, groupErr)
}
