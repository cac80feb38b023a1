package process

import (
	"slices"
	"strconv"
	"strings"

	"prefork/ipc"
)

// What a worker finds in its environment. The LISTEN_ names are those of
// sd_listen_fds(3), the others without PREFORK_ those of sd_notify(3) and
// sd_watchdog_enabled(3).
const (
	envListenPID   = "LISTEN_PID" // set by the exec step: only the child knows it
	envListenFDs   = "LISTEN_FDS"
	envListenNames = "LISTEN_FDNAMES"
	envNotify      = "NOTIFY_SOCKET"
	envWatchdog    = "WATCHDOG_USEC"
	envWatchdogPID = "WATCHDOG_PID" // set by the exec step, as LISTEN_PID
	envSlot        = "PREFORK_SLOT"
	envGeneration  = "PREFORK_GENERATION"
	envSiblings    = "PREFORK_SIBLING_FDS"
	envIPC         = ipc.EnvFD
)

// firstListener is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstListener = 3

// Inheritable returns environ without what was meant for the master alone: its
// sockets, its watchdog, its notification socket, its upgrade in progress and
// its own settings. A worker that kept them could speak for the whole service.
func Inheritable(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == envNotify ||
			strings.HasPrefix(name, "WATCHDOG_") ||
			strings.HasPrefix(name, "LISTEN_") ||
			strings.HasPrefix(name, "TABLEFLIP_") ||
			strings.HasPrefix(name, "PREFORK_")
	})
}

// environment is what the exec step gets: the worker's, still without LISTEN_PID.
func environment(s Spec) []string {
	env := slices.DeleteFunc(slices.Clone(s.Env), ownedByStart)
	env = append(env,
		envSlot+"="+strconv.Itoa(s.Slot),
		envGeneration+"="+strconv.FormatUint(s.Generation, 10))
	// sd_listen_fds(3) takes LISTEN_FDS=0 for an error: no sockets, no variables.
	if len(s.Listeners) > 0 {
		names := make([]string, len(s.Listeners))
		for i, l := range s.Listeners {
			names[i] = l.Name
		}
		env = append(env,
			envListenFDs+"="+strconv.Itoa(len(names)),
			envListenNames+"="+strings.Join(names, ":"))
	}
	if len(s.Siblings) > 0 {
		numbers := make([]string, len(s.Siblings))
		for i := range s.Siblings {
			numbers[i] = strconv.Itoa(firstListener + len(s.Listeners) + i)
		}
		env = append(env, envSiblings+"="+strings.Join(numbers, ","))
	}
	if s.Notify != "" {
		env = append(env, envNotify+"="+s.Notify)
		if s.Watchdog > 0 {
			env = append(env, envWatchdog+"="+strconv.FormatInt(s.Watchdog.Microseconds(), 10))
		}
	}
	if s.IPC != nil {
		env = append(env, envIPC+"="+strconv.Itoa(firstListener+len(s.Listeners)+len(s.Siblings)))
	}
	return env
}

func ownedByStart(entry string) bool {
	name, _, _ := strings.Cut(entry, "=")
	switch name {
	case envListenPID, envListenFDs, envListenNames, envNotify, envWatchdog, envWatchdogPID, envSlot, envGeneration, envSiblings, envIPC:
		return true
	}
	return false
}
