package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// signalProcessGroup is PIDFD_SIGNAL_PROCESS_GROUP of <linux/pidfd.h>, since
// Linux 6.9.
const signalProcessGroup = 1 << 2

// SignalGroup sends sig to every process of the worker's process group: the
// worker, and what it started and did not move elsewhere. It works after Wait,
// for members that outlived the worker. Signal 0 only asks. It returns
// os.ErrProcessDone when the group is empty, or after Close.
//
// The group's number can be given to somebody else once the group is empty, and
// a master that runs as root would then kill strangers. Two guards:
//
// Linux 6.9 and newer: the pidfd names the group. It refers to the kernel's own
// object for the number, not to the number, so a successor is never hit.
//
// Before 6.9 the group has to be signalled by number. Until the worker has been
// waited for, its zombie holds the number. Later, its members hold it; should
// they all have gone and the number have come round again, a process with that
// PID exists that is not ours, and the group counts as empty. (What is not
// seen: a stranger that got this number as PID, opened a group, left members
// behind and died, all of it after our group had become empty.)
func (p *Process) SignalGroup(sig unix.Signal) error {
	err := p.send(sig, signalProcessGroup)
	if errors.Is(err, unix.EINVAL) {
		return p.signalGroupByNumber(sig)
	}
	return err
}

func (p *Process) signalGroupByNumber(sig unix.Signal) error {
	p.mu.Lock() // the worker is not waited for between the look and the kill
	defer p.mu.Unlock()
	if p.reaped && processExists(p.pid) {
		return os.ErrProcessDone
	}
	return doneOr("kill", unix.Kill(-p.pid, sig))
}

func processExists(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

func (p *Process) send(sig unix.Signal, flags int) error {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return os.ErrProcessDone // closed
	}
	var sendErr error
	err = raw.Control(func(fd uintptr) {
		sendErr = unix.PidfdSendSignal(int(fd), sig, nil, flags)
	})
	if err != nil {
		return os.ErrProcessDone // closed
	}
	return doneOr("pidfd_send_signal", sendErr)
}

func doneOr(call string, err error) error {
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return os.NewSyscallError(call, err)
}
