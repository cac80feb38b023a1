package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// A worker's family is the worker, its process group, and its strays. A stray
// has left the group, as a program does that goes into the background on its own
// (setsid(2)), but its environment still holds the worker's NOTIFY_SOCKET, which
// no other worker of the machine has. What has cleaned its environment as well is
// not found. To find strays every process of the machine is looked at: some
// milliseconds where there are hundreds.

// SignalFamily sends sig to the worker's family and tells whether anybody was
// there. Signal 0 only asks.
func (p *Process) SignalFamily(sig unix.Signal) (found bool) {
	found = p.SignalGroup(sig) == nil
	for _, pid := range p.strays() {
		found = p.signalStray(pid, sig) || found
	}
	return found
}

// Holds tells whether somebody of the family has one of the sockets open. The
// error says that it could not be found out.
func (p *Process) Holds(inodes []uint64) (bool, error) {
	var sockets []string
	for _, inode := range inodes {
		sockets = append(sockets, fmt.Sprintf("socket:[%d]", inode))
	}
	for _, pid := range slices.Concat(p.members(), p.strays()) {
		holds, err := hasOpen(pid, sockets)
		if holds || err != nil {
			return holds, err
		}
	}
	return false, nil
}

// members are the processes of the worker's group.
func (p *Process) members() []int {
	return processes(func(pid int) bool {
		group, err := unix.Getpgid(pid)
		return err == nil && group == p.pid
	})
}

func (p *Process) strays() []int {
	if p.notify == "" {
		return nil
	}
	return processes(func(pid int) bool { return pid != p.pid && p.hasMark(pid) })
}

// signalStray looks a second time once the process is held by a pidfd: its number
// may have changed hands since the first.
func (p *Process) signalStray(pid int, sig unix.Signal) bool {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(pidfd) }()
	return p.hasMark(pid) && unix.PidfdSendSignal(pidfd, sig, nil, 0) == nil
}

// hasMark tells whether the process began with the worker's NOTIFY_SOCKET. A
// zombie has no environment any more, and that of a stranger cannot be read.
func (p *Process) hasMark(pid int) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	mark := "\x00" + envNotify + "=" + p.notify + "\x00"
	return err == nil && bytes.Contains(append([]byte{0}, env...), []byte(mark))
}

// processes lists the processes of the machine that are wanted.
func processes(wanted func(pid int) bool) (pids []int) {
	entries, _ := os.ReadDir("/proc") // without it nobody can be found
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && wanted(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hasOpen tells whether the process has one of the files open, by the names that
// /proc/PID/fd gives them.
func hasOpen(pid int, names []string) (bool, error) {
	folder := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look into process %d: %w", pid, err)
	}
	for _, e := range entries {
		target, _ := os.Readlink(folder + e.Name()) // closed since
		if slices.Contains(names, target) {
			return true, nil
		}
	}
	return false, nil
}
