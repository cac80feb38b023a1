package supervise

import (
	"fmt"
	"time"
)

// State is where one worker is in its life; see the package comment.
type State uint8

// The states of a worker.
const (
	Empty State = iota
	Waiting
	Starting
	Standby
	Ready
	Draining
	Aborting
	Killed
)

var stateNames = [...]string{"empty", "waiting", "starting", "standby", "ready", "draining", "aborting", "killed"}

func (s State) String() string { return stateNames[s] }

// Overall is the state of the service as operators see it.
type Overall string

// The overall states.
const (
	StateStarting  Overall = "starting"  // until the first generation is wholly ready
	StateServing   Overall = "serving"   //
	StateReloading Overall = "reloading" //
	StateDrained   Overall = "drained"   // WINCH: sockets held, no workers
	StateDegraded  Overall = "degraded"  // no worker ready for degradedAfter
	StateStopping  Overall = "stopping"  //
)

// Limits and intervals. Those that an operator may set are in Target.
const (
	SlotsMax = 1024 // also in the exec step's and the scoreboard's bounds

	protocolMax = 255 // bytes; also in package ipc

	readyProof    = time.Second            // ready for so long: its death is no start-up failure
	backoffBase   = 100 * time.Millisecond // after the first early death
	backoffMax    = 10 * time.Second
	respawnWindow = time.Minute
	respawnMax    = 30 // replacements of one slot in respawnWindow

	abortTimeout  = 5 * time.Second // from SIGABRT to SIGKILL
	killTimeout   = 5 * time.Second // from SIGKILL until it is worth saying again
	degradedAfter = 10 * time.Second
	sampleEvery   = time.Second
	unwellAfter   = 3 * sampleEvery // a heartbeat that stands still for so long is late; no hang is judged sooner
	pausedAfter   = 2 * sampleEvery // so late for a sample or a deadline, the master itself stood still
	pauseGrace    = time.Second     // to hear what waits in the queue of events after that

	// TimeoutMax bounds what an operator may set, so that no sum of times
	// comes near an overflow.
	TimeoutMax = 30 * 24 * time.Hour
)

// Target is what a change works towards: the part of a configuration that the
// machine needs.
type Target struct {
	Revision uint64 `json:"revision"` // names the configuration to the shell
	Slots    int    `json:"slots"`    // 1 to SlotsMax

	// How many workers of the next generation may run beside the old ones:
	// SurgeCount, or when that is zero SurgePercent of the slots, rounded up.
	SurgeCount   int `json:"surge_count"`
	SurgePercent int `json:"surge_percent"`

	StartTimeout time.Duration `json:"start_timeout"` // spawn to ready
	DrainTimeout time.Duration `json:"drain_timeout"` // drain to exit
	HangTimeout  time.Duration `json:"hang_timeout"`  // heartbeat standing still

	// Own says that the workers are our own: they hear the bell, and may be told
	// to watch. Others are from when they say hello.
	Own bool `json:"own"`
	// Helpers is how many siblings watch each slot's sockets, 0 to HelpersMax;
	// workers that are not our own cannot be told to.
	Helpers int `json:"helpers"`

	// Rebalance says that workers hand connections to those that hold fewer.
	Rebalance bool `json:"rebalance"`

	// ReadyAfter counts a worker as ready that has lived for so long, also when
	// it says nothing; 0: it has to say it.
	ReadyAfter time.Duration `json:"ready_after"`
	// NeverReady says more about a worker that was not ready in time.
	NeverReady string `json:"never_ready"`
}

func (t Target) surge(slots int) int {
	if t.SurgeCount > 0 {
		return t.SurgeCount
	}
	return max(1, (slots*min(t.SurgePercent, 100)+99)/100)
}

// Validate tells what is wrong with the target, or returns nil.
func (t Target) Validate() error {
	switch {
	case t.Slots < 1 || t.Slots > SlotsMax:
		return fmt.Errorf("workers is %d: it must be 1 to %d", t.Slots, SlotsMax)
	case t.SurgeCount < 0 || t.SurgePercent < 0 || t.SurgeCount == 0 && t.SurgePercent == 0:
		return fmt.Errorf("surge is neither a count nor a percentage above zero")
	case min(t.StartTimeout, t.DrainTimeout, t.HangTimeout) <= 0 || max(t.StartTimeout, t.DrainTimeout, t.HangTimeout) > TimeoutMax:
		return fmt.Errorf("start-, drain- and hang-timeout are %v, %v and %v: they must be above zero and at most %v",
			t.StartTimeout, t.DrainTimeout, t.HangTimeout, TimeoutMax)
	case t.Helpers < 0 || t.Helpers > HelpersMax:
		return fmt.Errorf("helpers is %d: it must be 0 to %d", t.Helpers, HelpersMax)
	case t.ReadyAfter < 0 || t.ReadyAfter >= t.StartTimeout:
		return fmt.Errorf("a worker would be ready after %v: it must be above zero and below the start-timeout %v", t.ReadyAfter, t.StartTimeout)
	}
	return nil
}

// worker is one incarnation.
type worker struct {
	ID         WorkerID `json:"id"`
	Generation uint64   `json:"generation"`
	Revision   uint64   `json:"revision"`
	PID        int      `json:"pid"`
	State      State    `json:"state"`
	BornAt     Time     `json:"born_at"`
	ReadyAt    Time     `json:"ready_at"`   // 0: never was
	Since      Time     `json:"since"`      // when the state began
	Deadline   Time     `json:"deadline"`   // when the state ends in an action; 0: never
	ReadyDue   Time     `json:"ready_due"`  // Starting: when being alive counts as being ready; 0: never
	GiveUpAt   Time     `json:"give_up_at"` // coming seat: until when failed spawns are tried again
	Tries      int      `json:"tries"`      // spawns that failed for want of resources
	Beat       int64    `json:"beat"`       // the last heartbeat's value
	BeatAt     Time     `json:"beat_at"`    // when it was first seen; 0: no heartbeat
	Unwell     bool     `json:"unwell"`
	Stuck      bool     `json:"stuck"`   // outlived SIGKILL for killTimeout
	Crowded    bool     `json:"crowded"` // waits until another process of its slot has gone
	Own        bool     `json:"own"`     // it speaks the master's own protocol
	Recycle    string   `json:"recycle"` // why it is to be replaced; "": it is not
	Listens    bool     `json:"listens"` // Ready: its own sockets are in its loop
	Deaf       bool     `json:"deaf"`    // Ready: it broke the protocol, and is asked nothing more
	Heavy      bool     `json:"heavy"`   // Ready: it held too many connections at the last sample; see rebalance.go
	Watches    []watch  `json:"watches"` // Ready: siblings' slots; see helping.go
	Account    uint64   `json:"account"` // of what made it leave; 0: none

	Protocol string     `json:"protocol"` // what its connections speak; "": they stay where they are
	Heirs    []WorkerID `json:"heirs"`    // Draining: to whom it gives its connections; see handover.go
}

// alive tells whether there is, as far as is known, a process that was not
// yet condemned.
func (w *worker) alive() bool {
	return w != nil && w.State != Waiting && w.State != Killed
}

// slot is a numbered place; its three kinds of seats are in the package comment.
type slot struct {
	Number  int       `json:"number"`
	Serving *worker   `json:"serving"`
	Coming  *worker   `json:"coming"`
	Leaving []*worker `json:"leaving"` // oldest first

	Retiring   bool `json:"retiring"`    // closes when its last worker has gone and its queue is empty
	EmptyBy    Time `json:"empty_by"`    // Retiring: the Deadline of its EmptySlot; 0: not asked
	Emptied    bool `json:"emptied"`     // Retiring: that was answered
	LeftBehind int  `json:"left_behind"` // Emptied: connections that wait there still

	// Account is that of what made it retire, or of what left it unserved; 0: none.
	Account uint64 `json:"account"`

	Queued   bool   `json:"queued"`   // the last look found its queue not empty
	Failures int    `json:"failures"` // early deaths in a row
	Respawns []Time `json:"respawns"` // replacements within respawnWindow
	Restarts uint64 `json:"restarts"` // replacements in all, for status
}

func (s *slot) empty() bool {
	return s.Serving == nil && s.Coming == nil && len(s.Leaving) == 0
}

// workers returns everybody in the slot: who leaves, who serves, who comes.
func (s *slot) workers() []*worker {
	all := append(make([]*worker, 0, len(s.Leaving)+2), s.Leaving...)
	if s.Serving != nil {
		all = append(all, s.Serving)
	}
	if s.Coming != nil {
		all = append(all, s.Coming)
	}
	return all
}

// leaver returns the leaving worker that was not killed, or nil.
func (s *slot) leaver() *worker {
	for _, w := range s.Leaving {
		if w.State != Killed {
			return w
		}
	}
	return nil
}
