package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// killPatience is how long killed processes have to disappear.
const killPatience = 5 * time.Second

// Members are the PIDs of the living processes of the server's session: all that
// it started and that did not take a session of its own, in no order.
func (p *Process) Members() ([]int, error) { return membersOf(p.PID()) }

// CPUTime is the time that the living members have used, user and system, since
// each began. Threads that have ended are part of it, processes that have ended
// are not.
//
// It is what utime and stime in /proc/PID/stat add up to, but those count in
// ticks of 10 ms, and the clock of a process in nanoseconds.
func (p *Process) CPUTime() (time.Duration, error) {
	members, err := p.Members()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range members {
		used, err := CPUTimeOf(pid)
		if errors.Is(err, os.ErrProcessDone) {
			continue
		}
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// CPUTimeOf is the time that one process has used with all of its threads. The
// error is os.ErrProcessDone when it has ended.
func CPUTimeOf(pid int) (time.Duration, error) {
	// clock_getcpuclockid(3) calculates the number of a process's clock like this;
	// 2 stands for user and system time together.
	clock := int32(^pid<<3 | 2)
	var at unix.Timespec
	err := unix.ClockGettime(clock, &at)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESRCH) {
		return 0, os.ErrProcessDone
	}
	if err != nil {
		return 0, fmt.Errorf("read CPU time of pid %d: %w", pid, os.NewSyscallError("clock_gettime", err))
	}
	return time.Duration(at.Nano()), nil
}

// Anonymous is the memory of the living members that no file stands behind and
// that is in use now, in bytes: what a process costs beside its program. What
// several members share counts for each by its share (Pss_Anon in
// /proc/PID/smaps_rollup, Linux 5.9).
func (p *Process) Anonymous() (int64, error) {
	members, err := p.Members()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range members {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if gone(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		kib, err := fieldOf(text, "Pss_Anon:")
		if err != nil {
			return 0, fmt.Errorf("read /proc/%d/smaps_rollup: %w", pid, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// Descriptors is the number of files that the living members have open.
func (p *Process) Descriptors() (int, error) {
	members, err := p.Members()
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, pid := range members {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil && !gone(err) {
			return 0, err
		}
		sum += len(entries)
	}
	return sum, nil
}

// fieldOf returns the number of a line such as "Pss_Anon:    1234 kB".
func fieldOf(text []byte, name string) (int64, error) {
	for line := range bytes.Lines(text) {
		if value, found := bytes.CutPrefix(line, []byte(name)); found {
			number, _, _ := strings.Cut(strings.TrimSpace(string(value)), " ")
			return strconv.ParseInt(number, 10, 64)
		}
	}
	return 0, fmt.Errorf("no line %s", name)
}

// membersOf lists the living processes of a session.
func membersOf(session int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var members []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		alive, of, err := readSession(pid)
		if err != nil {
			return nil, err
		}
		if alive && of == session {
			members = append(members, pid)
		}
	}
	return members, nil
}

// readSession parses /proc/PID/stat: "pid (name) state parent group session …",
// where the name may hold anything, parentheses too. A zombie is not alive.
func readSession(pid int) (alive bool, session int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if gone(err) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 4 {
		return false, 0, fmt.Errorf("read /proc/%d/stat: %d fields after the name, want 4 or more", pid, len(fields))
	}
	session, err = strconv.Atoi(fields[3])
	return fields[0] != "Z" && fields[0] != "X", session, err
}

// killSession kills what is left of a session and waits until nothing is. The
// session's number cannot be given to others as long as it has a member.
func killSession(session int) error {
	deadline := time.Now().Add(killPatience)
	for {
		members, err := membersOf(session)
		if err != nil || len(members) == 0 {
			return err
		}
		for _, pid := range members {
			if err := killMember(pid, session); err != nil {
				return err
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of session %d do not end: look at them with ps", members, session)
		}
		time.Sleep(pollPeriod)
	}
}

// killMember kills a process if it still is of the session.
func killMember(pid, session int) error {
	handle, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill pid %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	defer unix.Close(handle)
	// AFTER pidfd_open: from here on the handle means one process, and this tells
	// whether it is one of ours or another that got its number.
	alive, of, err := readSession(pid)
	if err != nil || !alive || of != session {
		return err
	}
	if err := unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill pid %d: %w", pid, os.NewSyscallError("pidfd_send_signal", err))
	}
	return nil
}

// gone says that a process ended while its files were being read: ENOENT before
// they were opened, ESRCH after.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}
