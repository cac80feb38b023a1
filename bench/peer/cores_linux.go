package peer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Cores are the numbers of those that this process may use, in order.
func Cores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var cores []int
	for core := 0; len(cores) < set.Count(); core++ {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores, nil
}

// Pin binds the calling thread to cores; the caller has locked its goroutine to
// the thread. What the thread starts inherits them.
func Pin(cores []int) error {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("bind to cores %v: %w", cores, os.NewSyscallError("sched_setaffinity", err))
	}
	return nil
}

// startOn starts a command on some cores only. A child inherits them from the
// thread that forks, so there is no moment at which it runs elsewhere.
func startOn(cores []int, cmd *exec.Cmd) error {
	if len(cores) == 0 {
		return cmd.Start()
	}
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and its cores with it.
		runtime.LockOSThread()
		if err := Pin(cores); err != nil {
			result <- err
			return
		}
		result <- cmd.Start()
	}()
	return <-result
}

// RaiseDescriptors lets this process, and what it starts, have so many open
// files. The error says how many there may be when that is refused.
func RaiseDescriptors(want uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if limit.Cur >= want && limit.Max >= want {
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) // or Go gives children less than we have
	}
	raised := unix.Rlimit{Cur: want, Max: max(want, limit.Max)}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised)
	if errors.Is(err, unix.EPERM) && limit.Max > limit.Cur {
		// More than the hard limit is for root alone: take that.
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
	}
	if err != nil {
		return fmt.Errorf("raise open files to %d: %w; the limit is %d, see ulimit -n", want, os.NewSyscallError("setrlimit", err), limit.Max)
	}
	return nil
}
