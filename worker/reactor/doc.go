// Package reactor is a worker's event loop: it accepts, reads, writes and
// closes connections, and leaves it to a [Handler] to understand the bytes.
//
// It is the classic reactor, and each of its five steps has a file:
//
//	initialise  New: the poller, the clock, the buffers
//	listen      Loop.Listen and Loop.Help: listening sockets come into the poller
//	dispatch    a turn: wait, and hand each event to whom it is for
//	execute     the handler runs on what was read, its answers are sent
//	reuse       connections, handlers and buffers go back to the loop's free lists
//
// One turn of [Loop.Run] does this, in this order:
//
//	┌─────────────────────────────────────────────────────────┐
//	│ wait ─► an accept ─► connections ─► timers ─► tasks ──┐  │
//	│  ▲                                                    │  │
//	│  └──────────────── hand over ◄─ drain ◄───────────────┘  │
//	└─────────────────────────────────────────────────────────┘
//
// A connection's life, as the loop sees it:
//
//	accept ─► Header ◄─► Idle ─► Close ─► (linger) ─► closed
//	           ▲ ▼ ▲ ▼
//	        Body   Away
//
// What a client sent with its first packets is read and answered right after the
// accept. Only a connection that stays open after that is registered with the
// poller: a short one costs accept, read, write and close, and four of them may share
// a turn.
//
// Connections that are ready at once are read, handled and answered step by step
// together, which costs less than one after the other (batch.go says why), as long as
// their handlers are quick.
//
// What would keep the loop from its other clients goes elsewhere: [Loop.Compute] has
// a bounded pool do it, [Loop.Lend] a goroutine that may talk to the client itself.
// The connection is Away meanwhile, and its answer comes back to the loop as a task.
//
// A loop that drains gives its connections to loops of other workers, if it has such
// heirs ([Loop.Give], [Loop.Take]), and their clients notice nothing:
//
//	giver                                      heir
//	served ─► offered ─► given ══ parcel ═══►  held
//	  ▲ ▲        │         │                    │
//	  │ └────────┘         │◄══ acknowledged ═══┤
//	  │    no heir         ▼                    ▼
//	  └── not taken ──  forgotten             served
//
// A connection is offered between two messages, or when the first bytes of one have come;
// what is under way is finished first. It is served on until an heir has room, then it
// leaves the poller and travels in a parcel: 253 descriptors at most, and for each
// connection what its handler has packed ([Portable]) and its unread input. The invariants:
//
//   - One worker at a time reads from a connection. The giver does not from the parcel to
//     the answer, the heir not before its answer has gone out.
//   - What the heir has not acknowledged it has not touched, and the giver has kept a
//     descriptor: if the heir dies, is short of something or falls silent, the giver goes
//     on with it. It shuts the pair down first, so no acknowledgement comes too late.
//   - What does not make sense ends the pair, and nothing else.
//
// Header, Idle, Body, Away and Close are the [Phase] that the handler answered last.
// They tell which deadline applies and what a drain may end. Lingering is the
// time in which a closed connection throws away what its client still sends:
// closing with unread input makes the kernel answer with a reset, which can
// destroy the last answer before the client has read it.
//
// Beside its own listening sockets a loop may watch those of its siblings
// ([Loop.Help]), all of them exclusively: the kernel wakes the first one in the
// line that sleeps, so an owner at rest serves its own queue, and who waits for an
// owner that is busy, stopped or dead is served by a sibling. What was woken and
// does not come to accept leaves a connection that nobody else is told of; the bell
// (Config.Bell) has every loop look for such ones.
//
// What it promises:
//
//   - Nothing that one client does delays the others for long: accepts, reads,
//     messages, timers and tasks of a turn are bounded by named constants.
//   - A turn accepts from one queue, that which was served longest ago: no queue
//     starves another. It accepts a second connection only when the first has ended
//     with its answer: one is in the hands of a handler that blocks, at most.
//   - Connections leave some descriptors free, so that the worker can still be sent
//     some, and who comes then waits in the queue.
//   - A socket that is let go leaves the loop only when what waited in it at that
//     moment has been accepted.
//   - An answer that is ready waits a millisecond at most for those of its batch, but for
//     the batch that a handler surprises by being slow.
//   - While a client does not read its answers, nothing more is read from it.
//   - A handler's panic costs its connection, after the answers before it; so does
//     an errand's.
//   - A drain ends no connection between two bytes of a message before its
//     deadline, and no idle connection by a reset. With an heir it ends none at all, if
//     its handler is Portable.
//   - Beat is called at least once a second, as long as no handler blocks; an
//     idle loop wakes about twice a second.
//   - An idle connection costs about 150 bytes, and its handler.
//   - Every descriptor that the loop opened is closed when Run returns. The
//     listening sockets and the bell belong to the caller: the loop never closes
//     them, nor shuts them down, and says when it has done with them.
//
// What it does not: it knows no protocol, no TLS and no files; it does not log
// (see Config.Report); it does not contain panics of tasks and timers; it does
// not defend itself against a handler that blocks or never returns (the master
// sees that the beat has stopped).
//
// While there is work, Run waits without telling Go's scheduler, if GOMAXPROCS is 2
// or more: that makes a short wait a good deal cheaper. Other goroutines then share
// what is left of GOMAXPROCS. An idle loop, and one with a [Taker], waits as every
// blocking call does.
//
// Run occupies the goroutine that calls it. The loop starts others for errands only.
// It waits for these while it drains, up to the deadline of the drain; one that goes
// on after that finds its connection closed, and ends by itself. Post and Drain may
// be called from any goroutine, everything else before Run or on the loop (from a
// handler, a task, a timer or a hook).
package reactor
