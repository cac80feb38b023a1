// Package supervise decides what the master does. It is a pure, deterministic
// state machine: facts go in as events, decisions come out as actions, and
// time is an argument.
//
//	signal or request ──► Event ──► Machine.Step ──► []Action ──► effects
//	                        ▲                                        │
//	                        └────────────── outcome ─────────────────┘
//
// It promises: the same events at the same times give the same actions; every
// event is decided in every state; nothing is lost in silence (what is refused
// is answered, what is ignored is listed in the event × state table). It does
// not read a clock, start a goroutine, touch a file or write a log: logging is
// an action (Note) like any other. It imports the standard library only, and
// of that nothing that does I/O. It is not safe for concurrent use: one
// goroutine, the master's loop, owns it.
//
// # Words
//
// A slot is a numbered place for a worker. An incarnation is one life of a
// worker in a slot; slot/incarnation is its name (WorkerID), a PID never is. A
// generation is one version of configuration and code. Ready means that the
// worker said that it could accept. To drain is to stop accepting, finish and
// exit; to retire is to drain a worker whose slot goes away; to recycle is to
// replace one worker by another of the same generation; to roll back is to
// drain what a failed change had started.
//
// # Seats and states
//
// A slot has three kinds of seats. A worker is born into serving or coming,
// moves to leaving, and disappears when its exit was seen.
//
//	          replacement after a crash                new generation, recycle
//	                    │                                        │
//	                    ▼                                        ▼
//	 serving:  Waiting ──► Starting ──► Ready      coming: Waiting ──► Starting ──► Standby
//	              ▲  spawn     │ ready    │                                            │
//	              └── failed ──┘          │         promoted: told to Serve, takes the serving seat
//	                                      ▼
//	 leaving:                    Draining ──► Killed        (drain-timeout)
//	                             Aborting ──► Killed        (hang- or start-timeout: SIGABRT, then SIGKILL)
//
//	Empty      no worker in the seat
//	Waiting    a spawn is put off: back-off after an early death, no memory or descriptors, or no
//	           room (two processes in a slot are the limit) until who drains there has gone
//	Starting   spawned, not ready; ends at start-timeout, or when being alive for long enough is
//	           being ready (a program that says nothing). A worker may ask for more time
//	Standby    ready, waiting to be told to Serve; ends when the change ends
//	Ready      serves; unwell when its heartbeat is late; ends at hang-timeout
//	Draining   told to drain; ends at drain-timeout, or later when the worker asked for more time
//	Aborting   got SIGABRT; ends at abortTimeout
//	Killed     got SIGKILL; told again every killTimeout until its exit is seen
//
// # Changes
//
// Everything that alters the set of workers on purpose is a change: start,
// reload, scale, resume (out of drained). At most one runs. It opens sockets,
// brings up the workers that it needs in the coming seats and ends in one of
// two ways. Commit: they are promoted, their predecessors drain, slots that
// are too many retire. Roll back: they drain, and whoever served serves on.
// With surge at or above the number of slots a change is all or nothing;
// below, slots are promoted one after the other, and the first failure stops
// the change where it is. Out of drained every change is all or nothing.
//
// One reload may wait behind a running change (a later one replaces it and
// inherits its callers), and one scale likewise; the reload goes first. The
// first generation is a change too, and when it is rolled back the master
// exits with 1.
//
// # Deaths
//
// A worker that was ready for readyProof is replaced at once. Earlier deaths
// count, and each doubles the wait, with jitter. Apart from that a slot gets
// at most respawnMax replacements in respawnWindow: a rate, so that a service
// that crashes once a day is never given up. No slot is ever given up. To
// recycle is to replace, and counts: a worker that breaks the protocol as soon
// as it is ready must not become a spawn loop.
//
// # Pauses
//
// When a deadline or a sample is late by more than pausedAfter, the master or
// the whole machine stood still, and nobody is to blame: hearts get a new
// hang-timeout, and every other deadline pauseGrace, in which what waits in the
// queue of events is heard.
//
// # Invariants (Check)
//
//	I1 at most one serving and one coming worker in a slot; at most two processes that were not killed
//	I2 every state but Ready carries a deadline, and Ready does when the worker has a heartbeat;
//	   only who is Starting can come to be ready by having lived long enough
//	I3 incarnations strictly increase and are never reused; the generation never falls
//	I4 nothing is spawned once the machine is stopping
//	I5 during an all-or-nothing change the predecessors stay in the serving seats, and out of drained nobody serves before all do
//	I6 at most respawnMax replacements of a slot in respawnWindow
//	I7 nothing happens after Exit
//	I8 who comes is of the running change, or a recycled worker's successor; after a roll back nobody is left, and the generation is the old one
//
// # Liveness (checked by the simulation)
//
//	L1 when faults stop, every slot is Ready within a bound
//	L2 StopRequested leads to Exit within drain-timeout and killTimeout
package supervise
