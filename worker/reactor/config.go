package reactor

import (
	"errors"
	"fmt"
	"time"
)

// What a zero field of Config stands for.
const (
	IdleTimeoutDefault   = 75 * time.Second
	HeaderTimeoutDefault = 10 * time.Second
	BodyTimeoutDefault   = 30 * time.Second
	WriteTimeoutDefault  = 30 * time.Second
	MaxInputDefault      = 64 << 10
	PoolSizeDefault      = 2
)

// Config says how a loop treats its connections. A zero duration stands for
// the default above, and there is no way to wait for ever. Timeouts are
// rounded up to half a second.
type Config struct {
	// NewHandler makes the handler of a new connection. Required, unless there
	// is a Taker.
	NewHandler func() Handler
	// Taker gets the connections in place of handlers; what is said below about
	// connections does not concern it then. nil: the loop serves them itself.
	Taker Taker

	// IdleTimeout bounds the time between messages.
	IdleTimeout time.Duration
	// HeaderTimeout bounds the time from accept, or from the first byte of a
	// later message, until the handler leaves Header.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the time that a connection stays in Body, however
	// steadily its bytes arrive.
	BodyTimeout time.Duration
	// WriteTimeout bounds the time in which a client that owes us room for
	// our answers takes not one byte.
	WriteTimeout time.Duration

	// DrainSpread is how long before the deadline of a drain connections are closed that
	// have something under way, one after the other, so that not all of their clients come
	// back in one moment. 0: all are closed at the deadline.
	DrainSpread time.Duration

	// MaxInput bounds the unread input of one connection, in bytes: the
	// longest message that its handler may want to see whole. 0: 64 KiB.
	MaxInput int

	// PoolSize bounds how many errands of Compute run at a time. 0: 2.
	PoolSize int

	// ClientFirst says that in this protocol the client speaks first. Connections
	// then come to accept with what it has said (TCP_DEFER_ACCEPT, tcp(7)), which
	// spares most of them the poller; one that says nothing comes a second later,
	// and HeaderTimeout counts from there. It is set on TCP sockets of our own, and
	// for everybody who holds them. false: they come at once.
	ClientFirst bool

	// Bell is a descriptor that calls this loop and others, usually an eventfd(2):
	// every write to it makes each of them look into all the queues that it
	// watches. It is the caller's until Run has returned, and never read. 0: none.
	Bell int

	// Poller waits for readiness; the loop takes ownership. nil: epoll.
	Poller Poller

	// Hooks, all optional, called on the loop. They must not block.

	// Beat is called in every turn with the time (CLOCK_MONOTONIC, ns), at
	// least once a second.
	Beat func(now int64)
	// Accepted is called with the number of connections just accepted, before any
	// of them is read from.
	Accepted func(n int)
	// Helped is called with how many of those came from a sibling's queue, after
	// Accepted.
	Helped func(n int)
	// Requeued is called when a socket of our own has come back to the poller after
	// a pause, once for pauses that come one after the other. Siblings who watch it stand before us now,
	// and the kernel asks them first, until they come to the end of the line.
	Requeued func()
	// Connections is called with the number of open connections whenever it
	// has changed: before a new one is read from, else once a turn.
	Connections func(n int)
	// Given is called with the number of connections that heirs have just taken, Taken
	// with that of another worker's which we have, before any of them is read from. See
	// Loop.Give and Loop.Take.
	Given, Taken func(n int)
	// Finished is called with the number of connections that have ended in order while
	// the loop drains: no message was under way.
	Finished func(n int)
	// Cut is called with the number of connections that we have ended with a message
	// under way: at the deadline of a drain, or because a handler or an errand has
	// panicked.
	Cut func(n int)
	// Report gets what an operator should see in one line: *PanicError (a
	// connection was lost), *AcceptError (accepting pauses or ended) and *HandOverError
	// (connections stay where they were). The loop has already dealt with it.
	Report func(error)
}

// complete puts defaults in the place of zeros and refuses what cannot work.
func (c *Config) complete() error {
	if (c.NewHandler == nil) == (c.Taker == nil) {
		return errors.New("reactor: give Config.NewHandler or Config.Taker, one of them: a loop needs somebody who serves its connections")
	}
	if c.MaxInput < 0 {
		return fmt.Errorf("reactor: Config.MaxInput is %d: give a number of bytes, or 0 for %d", c.MaxInput, MaxInputDefault)
	}
	if c.MaxInput == 0 {
		c.MaxInput = MaxInputDefault
	}
	if c.PoolSize <= 0 {
		c.PoolSize = PoolSizeDefault
	}
	for _, timeout := range []struct {
		field  *time.Duration
		preset time.Duration
	}{
		{&c.IdleTimeout, IdleTimeoutDefault},
		{&c.HeaderTimeout, HeaderTimeoutDefault},
		{&c.BodyTimeout, BodyTimeoutDefault},
		{&c.WriteTimeout, WriteTimeoutDefault},
	} {
		if *timeout.field <= 0 {
			*timeout.field = timeout.preset
		}
	}
	c.completeHooks()
	return nil
}

func (c *Config) completeHooks() {
	if c.Beat == nil {
		c.Beat = func(int64) {}
	}
	if c.Accepted == nil {
		c.Accepted = func(int) {}
	}
	if c.Requeued == nil {
		c.Requeued = func() {}
	}
	for _, hook := range []*func(int){&c.Helped, &c.Connections, &c.Given, &c.Taken, &c.Finished, &c.Cut} {
		if *hook == nil {
			*hook = func(int) {}
		}
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
}

// timeouts is how long a connection may stay in each phase. In Close only the
// answers are left to go out.
func (c *Config) timeouts() [Close + 1]time.Duration {
	return [...]time.Duration{
		Idle:   c.IdleTimeout,
		Header: c.HeaderTimeout,
		Body:   c.BodyTimeout,
		Away:   c.WriteTimeout, // until the answers before it are out
		Close:  c.WriteTimeout,
	}
}
