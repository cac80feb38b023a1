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
// drain what a failed change had started. The owner of a slot is the worker in its
// serving seat. A helper is a worker that watches a sibling's slot, which is to
// have its sockets in its event loop, too. To listen is to have one's own there.
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
// # Helping
//
// Workers of our own watch each other's slots, so that an idle one takes what a busy,
// stopped or dead one does not. The built-in ones are our own (Target.Own), and so is
// any program that says hello, from then on. Each slot of those that are
// wanted is watched by Target.Helpers of its siblings: those before it in the ring
// of slots, whoever is in them. The kernel asks first who came first, so the order
// in which sockets come into the loops is what is decided here.
//
//	           owner        listens               dies, successor listens
//	             │             │                             │
//	helper:      │  (waits)  Watch ──► asked ──► watches   Watch ──► asked ──► watches
//	                                     Watched                       Watched
//
// A helper is asked to watch when it listens itself and the owner does, or when
// nobody is ready there; an owner that does not come to listen is waited for for
// listenGrace. It is asked again whenever another owner listens, and when the
// sockets were mended, so that it stands behind. For each slot it has one ask at a time
// to answer; what is right then is decided when it has. An answer to nothing breaks the
// protocol, and who broke it (deaf) is neither asked nor counted on. Who is told
// to leave lets go of everything by itself, and what it still says means nothing.
//
// A slot that retires keeps its watchers until it closes, and the workers that stay
// next to it become watchers of the highest retiringHelped ones: its own may all
// retire. When its last worker has gone the shell is asked for the end of its
// queue (EmptySlot, at most emptyTimeout), however many there are; they close from
// the top, after everybody was told to let go.
//
// A wake-up that was spent on a worker which then stopped or died is made up for
// by the bell: everybody looks into all queues. It rings at SIGCHLD, at a worker's exit,
// and when a look at the queues finds one that is not empty and was not at the
// look before. Looks come every lookBusy, lookMoved or lookIdle, while there is more
// than one process that the kernel could have woken.
//
// # Handing over
//
// A worker of our own that drains gives its connections to others, its heirs, so that
// their clients see nothing: those which say that they speak the same Protocol. The heir
// is its successor; in a slot that retires or that has no successor yet, as many as
// heirsMax of those who serve. It is told so BEFORE it is told to drain, and again, to
// somebody else, when its last heir has died or leaves: while it drains it keeps what it
// has. What the workers say to each other passes by the master.
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
//	I9 only who listens is asked to watch, never its own slot, and nothing while it has not answered;
//	   whoever watches a slot was asked after its owner had listened, or is being asked again
//	I10 a slot closes when nothing waits there or its time is over, unless the master stops
//	I11 who drains and can give its connections has an heir when there is one, and each serves
//	I12 whoever has served and leaves belongs to one open account; an account is open because somebody
//	   belongs to it, or a slot, or the running change; who waits for it is told when it closes, or in time
//
// # Liveness (checked by the simulation)
//
//	L1 when faults stop, every slot is Ready within a bound
//	L2 StopRequested leads to Exit within drain-timeout and killTimeout
//	L3 when faults stop, all accounts are closed; every slot is watched by as many siblings as it should be, all of them behind its owner
package supervise
