package supervise

import "time"

// Time is a reading of CLOCK_MONOTONIC: one base for every process of a boot,
// so that a machine restored in another process continues the same time.
type Time = time.Duration

// WorkerID identifies one incarnation. It is never reused, unlike a PID.
type WorkerID struct {
	Slot        int    `json:"slot"`
	Incarnation uint64 `json:"incarnation"`
}

// Caller identifies somebody who waits for an Answer. Zero is nobody: a signal.
type Caller uint64

// Event is a fact that has happened. The set is closed.
type Event interface{ event() }

// Facts about the master itself.
type (
	// Started is the first event of a machine's life.
	Started struct{}

	// Tick says only that time has passed; the shell sends it at NextDeadline.
	Tick struct{}

	// SignalReceived is one signal of the operator's table.
	SignalReceived struct {
		Signal Signal
		// Terminal is what is known of the terminal the master was started on.
		Terminal Terminal
	}

	// ConfigLoaded answers LoadConfig: the configuration was read and is valid.
	ConfigLoaded struct {
		Caller Caller
		Target Target
	}

	// ConfigRefused answers LoadConfig: nothing changes.
	ConfigRefused struct {
		Caller Caller
		Reason string
	}

	// SocketsOpened answers OpenSockets of the same generation.
	SocketsOpened struct{ Generation uint64 }

	// SocketsFailed answers OpenSockets: none of the new sockets is open.
	SocketsFailed struct {
		Generation uint64
		Reason     string
	}
)

// Requests of operators.
type (
	// ReloadRequested asks for a new generation.
	ReloadRequested struct {
		Caller  Caller
		Timeout time.Duration // 0: as long as it takes
	}

	// ScaleRequested asks for another number of slots: Workers, or when
	// Relative is set Delta more than there will be once everything that is
	// under way or waits has happened.
	ScaleRequested struct {
		Caller   Caller
		Workers  int
		Relative bool
		Delta    int
	}

	// RecycleRequested asks to replace one worker by another of its generation.
	RecycleRequested struct {
		ID     WorkerID
		Reason string
	}

	// UpgradeRequested asks for a new master binary.
	UpgradeRequested struct{ Caller Caller }

	// ReopenRequested asks to reopen the log files.
	ReopenRequested struct{ Caller Caller }

	// StopRequested asks to end: gracefully, or Now.
	StopRequested struct {
		Caller Caller
		Now    bool
	}

	// CallerLeft says that nobody waits for this Answer any more. What was
	// asked for goes on.
	CallerLeft struct{ Caller Caller }
)

// Facts about one worker. Those of a replaced incarnation are dropped.
type (
	// WorkerSpawned answers Spawn: the process exists.
	WorkerSpawned struct {
		ID  WorkerID
		PID int
	}

	// SpawnFailed answers Spawn: there is no process. Temporary errors (no
	// memory, no descriptors, too many processes) are worth another try.
	SpawnFailed struct {
		ID        WorkerID
		Temporary bool
		Reason    string
	}

	// WorkerSaidReady says that the worker could accept.
	WorkerSaidReady struct {
		ID       WorkerID
		Protocol string // what its connections speak: workers of the same one may hand them over; "": nobody
	}

	// WorkerSaidListening says that the worker's own listening sockets are in its
	// loop: whoever watches them from now on stands behind it. It may come again.
	WorkerSaidListening struct{ ID WorkerID }

	// WorkerSaidWatched answers Watch and Unwatch: it is done.
	WorkerSaidWatched struct {
		ID   WorkerID
		Slot int
	}

	// WorkerSaidLeaving says that the worker drains of its own accord.
	WorkerSaidLeaving struct {
		ID     WorkerID
		Reason string
	}

	// WorkerSaidLeft says that its listeners are out of its loop and were empty.
	WorkerSaidLeft struct{ ID WorkerID }

	// WorkerMisbehaved says that the worker broke the protocol and that its
	// channel was closed: it can be signalled, but no longer talked to.
	WorkerMisbehaved struct {
		ID     WorkerID
		Reason string
	}

	// WorkerSpoke says that a worker that is not obliged to speak does: it will
	// say when it is ready.
	WorkerSpoke struct{ ID WorkerID }

	// WorkerSaidHello says that a worker of any program speaks the master's own
	// protocol.
	WorkerSaidHello struct{ ID WorkerID }

	// WorkerAskedForTime says that a worker that starts or drains wants so much
	// time from now (sd_notify(3), EXTEND_TIMEOUT_USEC).
	WorkerAskedForTime struct {
		ID  WorkerID
		For time.Duration
	}

	// WorkerGaveUp says that the worker calls itself broken (sd_notify(3),
	// WATCHDOG=trigger).
	WorkerGaveUp struct {
		ID     WorkerID
		Reason string
	}

	// WorkerExited says that the process is gone and reaped.
	WorkerExited struct {
		ID     WorkerID
		Clean  bool   // exit code 0
		Reason string // "exit code 3", "killed by SIGKILL"
		Words  string // the last words on its stderr, may be empty
		Tally  Tally
	}

	// QueuesSampled answers LookAtQueues: how many connections wait in the sockets
	// of each slot, by number, and whether the service has done anything since the
	// last look.
	QueuesSampled struct {
		Waiting []int
		Moved   bool
	}

	// SocketsMended says that a slot's sockets had been shut down by somebody and
	// listen again; whoever watched them does not any more.
	SocketsMended struct{ Slot int }

	// SlotEmptied answers EmptySlot with the same Deadline. Left is how many
	// connections still wait in its sockets: nobody has taken them.
	SlotEmptied struct {
		Slot     int
		Deadline Time
		Left     int
	}

	// HeartbeatsSampled answers Sample. Workers without a heartbeat (foreign
	// programs, unreadable scoreboards) are not in it.
	HeartbeatsSampled struct{ Beats []Beat }
)

// Beat is one worker's heartbeat: any value that changes while its loop turns.
// The value itself is not trusted, only that it changed.
type Beat struct {
	ID    WorkerID
	Value int64
	// Connections is how many it holds, by its own count.
	Connections int
	// Rare says that the worker promises no more than one beat in its
	// hang-timeout (a watchdog): a pause that is shorter means nothing.
	Rare bool
}

// Signal is an entry of the signals table.
type Signal uint8

// The signals that the master reacts to; docs/SIGNALS.md says how.
const (
	SIGHUP Signal = iota + 1
	SIGINT
	SIGQUIT
	SIGTERM
	SIGTTIN
	SIGTTOU
	SIGUSR1
	SIGUSR2
	SIGWINCH
	SIGCHLD
)

// Terminal tells whether the master had, and still has, a controlling terminal.
type Terminal uint8

// What can be known of the terminal.
const (
	TerminalNone Terminal = iota // started without one
	TerminalHere
	TerminalGone // started on one that was closed since
)

func (Started) event()             {}
func (Tick) event()                {}
func (SignalReceived) event()      {}
func (ConfigLoaded) event()        {}
func (ConfigRefused) event()       {}
func (SocketsOpened) event()       {}
func (SocketsFailed) event()       {}
func (ReloadRequested) event()     {}
func (ScaleRequested) event()      {}
func (RecycleRequested) event()    {}
func (UpgradeRequested) event()    {}
func (ReopenRequested) event()     {}
func (StopRequested) event()       {}
func (CallerLeft) event()          {}
func (WorkerSpawned) event()       {}
func (SpawnFailed) event()         {}
func (WorkerSaidReady) event()     {}
func (WorkerSaidLeaving) event()   {}
func (WorkerSaidLeft) event()      {}
func (WorkerMisbehaved) event()    {}
func (WorkerSpoke) event()         {}
func (WorkerSaidHello) event()     {}
func (WorkerAskedForTime) event()  {}
func (WorkerGaveUp) event()        {}
func (WorkerExited) event()        {}
func (WorkerSaidListening) event() {}
func (WorkerSaidWatched) event()   {}
func (QueuesSampled) event()       {}
func (SocketsMended) event()       {}
func (SlotEmptied) event()         {}
func (HeartbeatsSampled) event()   {}
