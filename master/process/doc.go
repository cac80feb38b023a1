// Package process starts worker processes, signals them and watches them end.
//
// What it promises: a worker begins with the sockets, names and environment of
// its Spec and nothing else of the master; it is signalled and waited for by
// pidfd, so a reused PID is never hit; a wait takes no other child's status.
// What it does not: it decides nothing (no restart, no time-out, no log), and it
// does not follow what leaves the worker's process group (setsid, daemons).
//
//	master                              child
//	Start ── fork, setpgid, exec ─────► exec step (/proc/self/exe exec-step …)
//	  │                                   │ LISTEN_PID, close-on-exec, folder, limit
//	  │                                   ├─ execve ──► the worker's program
//	  ▼                                   └─ refused ─► one line on stderr, 125..127
//	Signal, SignalGroup  ── pidfd ──────► the worker │ its process group
//	Wait ◄── pidfd readable, then wait4 ─ exit
//	Close                                 (forgets the process group)
//
// There are two kinds of failure. Start returns an error when no process came
// to be (Temporary tells whether a later try may succeed). Once it has returned
// a Process, everything else is that process's end: a program that cannot be
// run ends with CodeNotFound or CodeNotExecutable, and its last words say why.
//
// The exec step exists because LISTEN_PID must be the worker's own PID, which
// is not known before the fork, and because Go runs no code between fork and
// exec. The program that calls Start must therefore call ExecStep as the first
// thing in main when its first argument is ExecStepArg.
//
// Goroutines: Start, Signal and Wait own none; a Wait sleeps in the runtime's
// poller and holds no thread. Lines owns one, which ends when its reader does.
package process
