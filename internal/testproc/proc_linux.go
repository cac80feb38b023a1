package testproc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// markEnv is set in the environment of everything that a run starts. Its name
// does not begin with PREFORK_, because prefork takes such names for its own:
// it reads them as settings and keeps them from its workers.
const markEnv = "TESTPROC_RUN"

// procEntry is one process as /proc shows it.
type procEntry struct {
	pid, parent int
	state       byte   // 'Z' is a zombie, see proc_pid_stat(5)
	started     string // in clock ticks after boot: with the pid, unique for a boot
	name        string
}

func (p procEntry) String() string {
	return fmt.Sprintf("pid %d (%s), state %c", p.pid, p.name, p.state)
}

// newMark makes a mark that no other run on this machine has, ever.
func newMark() (string, error) {
	self, err := readProcess(os.Getpid())
	return fmt.Sprintf("%d-%s", self.pid, self.started), err
}

// processes lists all processes that there are.
func processes() ([]procEntry, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []procEntry
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		p, err := readProcess(pid)
		if gone(err) {
			continue // ended since ReadDir
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// readProcess parses /proc/PID/stat: "pid (name) state parent …", where the name
// may hold anything, parentheses too; the 22nd field is the start time.
func readProcess(pid int) (procEntry, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procEntry{}, err
	}
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return procEntry{}, fmt.Errorf("read /proc/%d/stat: no name in %q", pid, text)
	}
	fields := strings.Fields(string(text[end+1:])) // fields[0] is the third
	if len(fields) < 20 {
		return procEntry{}, fmt.Errorf("read /proc/%d/stat: %d fields after the name, want 20 or more", pid, len(fields))
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return procEntry{}, fmt.Errorf("read /proc/%d/stat: parent: %w", pid, err)
	}
	return procEntry{
		pid:     pid,
		parent:  parent,
		state:   fields[0][0],
		started: fields[19],
		name:    string(text[open+1 : end]),
	}, nil
}

// marked lists the living processes whose mark is this one or a part of it: the
// mark of a run covers the marks of its processes. We ourselves are not among
// them: /proc shows the environment with which a process began.
func marked(mark string) ([]procEntry, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var found []procEntry
	for _, p := range all {
		if p.state != 'Z' && covers(mark, markOf(p.pid)) {
			found = append(found, p)
		}
	}
	return found, nil
}

func covers(mark, other string) bool {
	return other == mark || strings.HasPrefix(other, mark+".")
}

// markOf returns "" for a process without a mark, one that has ended, and one
// whose environment we may not read, which is not ours then.
func markOf(pid int) string {
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return ""
	}
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if value, found := bytes.CutPrefix(variable, []byte(markEnv+"=")); found {
			return string(value)
		}
	}
	return ""
}

// killMarked kills a process if it still is the one with the mark.
func killMarked(pid int, mark string) error {
	handle, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill pid %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	defer unix.Close(handle)
	// AFTER pidfd_open: from here on the handle means one process, and this tells
	// whether it is the one that we started or another that got its number.
	if !covers(mark, markOf(pid)) {
		return nil
	}
	if err := unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill pid %d: %w", pid, os.NewSyscallError("pidfd_send_signal", err))
	}
	return nil
}

// gone says that a process ended while its files in /proc were being read:
// ENOENT before they were opened, ESRCH after.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}
