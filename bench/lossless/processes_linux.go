package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"prefork/bench/peer"
)

const (
	// changePatience bounds the wait for workers to come or go.
	changePatience = 20 * time.Second
	// lookPeriod is the time between two looks at something that has no event.
	lookPeriod = 5 * time.Millisecond
)

// below are all processes of a server but the first.
func below(p *peer.Process) ([]int, error) {
	pids, err := p.Members()
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == p.PID() }), err
}

// titleOf is what a process calls itself; empty when it has ended.
func titleOf(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may have ended
	return strings.TrimRight(strings.ReplaceAll(string(text), "\x00", " "), " ")
}

// started waits for all workers of a server that has just answered, and ends it if
// they do not come.
func started(ctx context.Context, s server) (server, error) {
	err := awaitWorkers(ctx, s, func(now []int) bool { return len(now) == workers })
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// awaitWorkers waits until the workers of a server are as wanted.
func awaitWorkers(ctx context.Context, s server, wanted func(pids []int) bool) error {
	ctx, cancel := context.WithTimeout(ctx, changePatience)
	defer cancel()
	for {
		pids, err := s.Workers(ctx)
		if err != nil || wanted(pids) {
			return err
		}
		if err := pause(ctx, lookPeriod); err != nil {
			return fmt.Errorf("wait for workers, which are now %v: %w", pids, err)
		}
	}
}

// pause waits for some time. The error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// signalMember sends a signal to a process if it is one of the server's. One that
// has ended is no error.
func signalMember(s server, pid int, sig unix.Signal) error {
	handle, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal worker %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	defer unix.Close(handle)
	// AFTER pidfd_open: from here on the handle means one process, and this tells
	// whether it is one of the server's or another that got its number.
	members, err := s.Members()
	if err != nil || !slices.Contains(members, pid) {
		return err
	}
	if err := unix.PidfdSendSignal(handle, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal worker %d: %w", pid, os.NewSyscallError("pidfd_send_signal", err))
	}
	return nil
}
