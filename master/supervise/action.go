package supervise

import "time"

// Action is something that the shell must do now, in the order given. No
// action has a result: what comes of it is a later event. The set is closed.
type Action interface{ action() }

// What is done to workers.
type (
	// Spawn starts a worker of the generation. The shell answers with
	// WorkerSpawned or SpawnFailed, and with WorkerExited at the end.
	Spawn struct {
		ID         WorkerID
		Generation uint64
		Revision   uint64 // which loaded configuration it gets
	}

	// Serve tells a ready worker to accept: from now on its slot's connections
	// are for it. It comes BEFORE the Drain of the predecessor, so that a slot's
	// socket is never without an owner.
	Serve struct {
		ID       WorkerID
		Revision uint64
	}

	// Drain tells a worker to stop accepting, finish and exit by Deadline.
	Drain struct {
		ID       WorkerID
		Deadline Time
	}

	// HandOver has one worker give connections to another one, through a pair of
	// sockets that the shell makes: To is sent its end first, then From. From has
	// served and drains, or is told to right AFTER that; To serves. A failure is
	// logged and changes nothing: the connections then end as they do without.
	HandOver struct {
		From, To WorkerID
		Count    int // at most so many idle ones, of one that need not drain; 0: all
	}

	// Abort sends SIGABRT: a program that can dumps its stack.
	Abort struct{ ID WorkerID }

	// Kill sends SIGKILL to the worker and to its process group.
	Kill struct{ ID WorkerID }

	// Watch tells a worker of our own to accept from the sockets of another slot
	// too, behind everybody who watches them now, and also when it watches them
	// already. The shell answers with WorkerSaidWatched; until then no other
	// Watch or Unwatch of the slot goes to that worker.
	Watch struct {
		ID   WorkerID
		Slot int
	}

	// Unwatch ends Watch; the answer is the same. It comes BEFORE CloseSlot, or
	// long after it when the worker had not answered before.
	Unwatch struct {
		ID   WorkerID
		Slot int
	}

	// RingBell has every worker of our own look into all queues that it watches.
	RingBell struct{}

	// LookAtQueues asks how many connections wait in each slot.
	LookAtQueues struct{}

	// Sample asks for the heartbeats of all workers.
	Sample struct{}
)

// What is done to the rest of the world.
type (
	// LoadConfig reads and checks the configuration. The shell answers with
	// ConfigLoaded or ConfigRefused for the same caller.
	LoadConfig struct{ Caller Caller }

	// OpenSockets makes sure that slots 0 to Slots-1 have the sockets of the
	// revision's addresses: all of them or, on an error, no new one.
	OpenSockets struct {
		Generation uint64
		Revision   uint64
		Slots      int
	}

	// EmptySlot asks to be told when nothing waits in the sockets of a retiring
	// slot any more, which gets no new connections and has no worker; at Deadline
	// at the latest. The shell answers with SlotEmptied. Several may be under way,
	// and a slot may be wanted again before its answer.
	EmptySlot struct {
		Slot     int
		Deadline Time
	}

	// CloseSlot closes the sockets of the highest slot. It comes AFTER the
	// slot's last worker has gone, and unless the master stops AFTER SlotEmptied.
	CloseSlot struct{ Slot int }

	// AbandonSockets says that a change to the revision was rolled back: those
	// of its sockets that serve no slot take no new connections. It comes
	// BEFORE the Drain of the workers that hold them.
	AbandonSockets struct{ Revision uint64 }

	// StopListening has every address refuse new connections; what waits in the
	// queues stays. It comes BEFORE the Drain of those who serve them.
	StopListening struct{}

	// ForgetRevision says that nobody needs the configuration any more, nor the
	// sockets that only it has. It comes AFTER its last worker has gone.
	ForgetRevision struct{ Revision uint64 }

	// ReopenLogs opens the log files again.
	ReopenLogs struct{}

	// OpenAccount begins an account. The shell remembers what it counts itself, so
	// that it knows at the end how much that has grown.
	OpenAccount struct{ Number uint64 }

	// CloseAccount ends an account, and says what the machine knows: one line of the
	// log. It comes AFTER the last worker that belongs to it has gone and the slots
	// that retire with it have closed, and BEFORE the answer to those who wait for it.
	CloseAccount struct{ Account Account }

	// Answer tells a caller what came of its request.
	Answer struct {
		Caller  Caller
		Result  Result
		Reason  string        // empty when Done
		Account Account       // of the change; perhaps not final
		Waited  time.Duration // for the account, when the change was done
	}

	// Note is one line of the log and one entry of the event stream.
	Note struct {
		Level      Level
		Text       string // constant for each kind of note
		ID         WorkerID
		Generation uint64
		PID        int
		From, To   State // both Empty unless a worker changed its state
		Reason     string
		Words      string
	}

	// Announce says that the overall state has changed.
	Announce struct{ State Overall }

	// Exit ends the master. Nothing comes after it.
	Exit struct {
		Code   int
		Reason string // why there was nothing to serve; empty when there was
	}
)

func (Spawn) action()          {}
func (Serve) action()          {}
func (Drain) action()          {}
func (HandOver) action()       {}
func (Abort) action()          {}
func (Kill) action()           {}
func (Sample) action()         {}
func (Watch) action()          {}
func (Unwatch) action()        {}
func (RingBell) action()       {}
func (LookAtQueues) action()   {}
func (EmptySlot) action()      {}
func (LoadConfig) action()     {}
func (OpenSockets) action()    {}
func (CloseSlot) action()      {}
func (AbandonSockets) action() {}
func (StopListening) action()  {}
func (ForgetRevision) action() {}
func (ReopenLogs) action()     {}
func (OpenAccount) action()    {}
func (CloseAccount) action()   {}
func (Answer) action()         {}
func (Note) action()           {}
func (Announce) action()       {}
func (Exit) action()           {}

// Result is what came of a request.
type Result string

// The results, as the control protocol spells them.
const (
	Done       Result = "ok"
	Refused    Result = "refused"     // bad input; nothing changed
	Busy       Result = "busy"        // another change is in the way
	Failed     Result = "failed"      // it cannot be done now
	RolledBack Result = "rolled_back" // tried, and undone
	TimedOut   Result = "timeout"     // undone, because the caller's time ran out
)

// Level is how loud a Note is.
type Level uint8

// Info: a state changed. Warn: degraded but handled. Error: a human must look.
const (
	Info Level = iota
	Warn
	Error
	Debug
)
