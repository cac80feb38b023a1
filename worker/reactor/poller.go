package reactor

import "time"

// Token names a registration. The loop chooses it, the poller hands it back
// with every event and never looks inside; registry says what it encodes and
// why that makes an event for a closed connection harmless.
type Token uint64

// TokenMax is the highest token that a loop uses.
const TokenMax = Token(1<<63 - 1)

// Ended is set in a token that Wait hands back for an Edge registration whose peer will
// send no more: there is an end to be read behind what there is.
const Ended = TokenMax + 1

// Interest says what a registration waits for.
type Interest uint8

const (
	// Readable: there is something to read or accept, or the peer has closed.
	Readable Interest = 1 << iota
	// Writable: there is room to write.
	Writable
	// Exclusive, beside Readable on a listening socket, wakes one of the
	// processes that wait for it instead of all of them. Pollers whose kernel
	// interface cannot do that ignore it.
	Exclusive
	// Edge, beside Readable, reports each arrival once instead of for as long as
	// something is there: for who reads all there is, which saves the kernel a look
	// at each connection that was ready the last time, and for what nobody reads away,
	// because others have to hear of it, too.
	Edge
)

// Poller is what the loop asks of the operating system's readiness interface.
//
// It is level-triggered, but for Edge: as long as a descriptor is ready for what
// it was registered for, every Wait says so. A loop that leaves something unread
// for the next turn loses nothing. What arrives at an Edge registration is
// reported by one Wait, together with whatever else has arrived there since; what
// was there when it was added or modified counts as an arrival. A peer's end of the
// stream is an arrival, too, and shows in the token (Ended).
//
// Add, Modify, Remove, Wait and Close belong to the loop's goroutine; Wake may
// be called by any goroutine, also while Wait blocks, but not after Close.
//
// Add registers fd under token until Remove; a descriptor has one registration
// at most. Modify replaces token and interest; Exclusive registrations cannot
// be modified, but removed and added again. Remove comes BEFORE the
// descriptor's close: epoll follows the open file, not the number, so a
// duplicate in another process would keep the registration of a closed
// descriptor alive, and nobody could remove it any more (epoll(7), Q6).
//
// Wait blocks until a registration is ready, Wake was called, or timeout has
// passed, and fills ready with the tokens, each at most once. But for Ended it does not
// say what for: what a connection waits for follows from its state, and a hang-up
// or an error, which are reported whatever the interest was, show in the next
// read or write. Wait rounds timeout up: one that ended just before a deadline
// would spin until the deadline is there. An interrupted wait is a Wait without
// events, not an error; errors are fatal to the loop.
//
// Wait may return the token of a registration that was removed after the
// kernel had noted the event. The loop recognises and drops it.
//
// Wake makes the current Wait return, or the next one if none is under way.
// Wakes are coalesced: any number of them before a Wait returns costs one
// system call. The loop therefore looks for posted work AFTER Wait: what was
// posted before a coalesced Wake is then there to be found.
type Poller interface {
	Add(fd int, token Token, interest Interest) error
	Modify(fd int, token Token, interest Interest) error
	Remove(fd int) error
	Wait(ready []Token, timeout time.Duration) (int, error)
	Wake() error
	Close() error
}
