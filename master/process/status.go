package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Exit codes of an exec step that could not become the worker's program; env(1)
// and the shells use the same. A program may use them too, but only the exec
// step writes a line that begins with "prefork: ".
const (
	CodeStepFailed    = 125 // the exec step itself, before it tried the program
	CodeNotExecutable = 126
	CodeNotFound      = 127

	// CodeUnknown means that the kernel has no status for us, because another
	// part of the program waited for the worker.
	CodeUnknown = -1
)

// Status is how a process ended: by a signal when Signal is not 0, else with
// the exit code Code.
type Status struct {
	Code   int
	Signal unix.Signal
	Core   bool // a core was dumped
}

func statusOf(ws unix.WaitStatus) Status {
	if ws.Signaled() {
		return Status{Signal: ws.Signal(), Core: ws.CoreDump()}
	}
	return Status{Code: ws.ExitStatus()}
}

// String gives "exit code 3", "killed by SIGKILL" or "killed by SIGSEGV (core
// dumped)".
func (s Status) String() string {
	switch {
	case s.Signal != 0 && s.Core:
		return "killed by " + signalName(s.Signal) + " (core dumped)"
	case s.Signal != 0:
		return "killed by " + signalName(s.Signal)
	case s.Code == CodeUnknown:
		return "exit code unknown"
	}
	return fmt.Sprintf("exit code %d", s.Code)
}

// signalName also names what has no name of its own, the real-time signals.
func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
