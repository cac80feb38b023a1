package goroutines

import (
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"prefork/worker/reactor"
)

// What a zero field of Config stands for; timeouts have the reactor's defaults.
const (
	MaxHeaderDefault = 8 << 10
	MaxBodyDefault   = 1 << 20
)

// Config says what an engine serves and what it puts up with. A zero duration
// stands for its default, and there is no way to wait for ever.
type Config struct {
	// Handler answers the requests. Required. Each request has a goroutine of its
	// own; whatever net/http offers to a handler works.
	Handler http.Handler

	// TLS, if not nil, has the connections speak it, and HTTP/2 beside HTTP/1; with
	// which certificate, is for it to say. What it says about protocols (NextProtos)
	// is replaced. nil: neither.
	TLS *tls.Config

	// IdleTimeout bounds the time between requests. 0: 75 s.
	IdleTimeout time.Duration
	// HeaderTimeout bounds the time from accept, or from a later request's first
	// bytes, to the end of its header. A handshake of TLS has as much before that.
	// 0: 10 s.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the time in which the handler can read the body; beyond
	// it, reading fails with os.ErrDeadlineExceeded. A handler may choose another
	// deadline (http.ResponseController). 0: 30 s.
	BodyTimeout time.Duration
	// WriteTimeout bounds the time in which a client that owes us room for an
	// answer takes next to nothing. A handler may choose a deadline. 0: 30 s.
	WriteTimeout time.Duration

	// DrainSpread is what reactor.Config calls so: streams, WebSockets and requests that
	// take long end one after the other over so long before the deadline of a drain. 0: at
	// the deadline.
	DrainSpread time.Duration

	// MaxHeader bounds a request's line and header fields together, in bytes;
	// beyond: 431. 0: 8 KiB.
	MaxHeader int
	// MaxBody bounds a request's body, in bytes. One that announces more is
	// answered with 413; without an announced length reading fails with
	// *http.MaxBytesError. 0: 1 MiB.
	MaxBody int
	// Identity, if not empty, is the value of a Prefork-Worker header in every
	// answer.
	Identity string

	// Bell is what reactor.Config calls so. 0: none.
	Bell int

	// Hooks, all optional. They must not block.

	// Beat is called in every turn of the accept loop with the time
	// (CLOCK_MONOTONIC, ns), at least once a second.
	Beat func(now int64)
	// Accepted is called on the accept loop with the number of connections just
	// accepted.
	Accepted func(n int)
	// Helped is called on the accept loop with how many of those came from a
	// sibling's queue, after Accepted.
	Helped func(n int)
	// Requeued is called on the accept loop when siblings stand before us in the
	// lines of our own sockets: see reactor.Config.
	Requeued func()
	// Connections is called on the accept loop with the number of open
	// connections when it has changed, up to half a second later.
	Connections func(n int)
	// Given and Taken are called on the accept loop with the number of connections that
	// heirs have just taken, and that we have of another worker's.
	Given, Taken func(n int)
	// Finished is called from any goroutine with the number of connections that have
	// ended in order while the engine drains: no request was under way.
	Finished func(n int)
	// Cut is called from any goroutine with the number of connections that we have ended
	// with a request under way, or while they were hijacked: at the deadline of a drain,
	// or because a handler has panicked.
	Cut func(n int)
	// Answered is called once for each request answered, from any goroutine.
	Answered func()
	// Report gets what an operator should see in one line, from any goroutine:
	// *reactor.PanicError, *reactor.AcceptError, and what net/http complains
	// about, which is at most one line a second, and *reactor.HandOverError.
	Report func(error)
}

// complete puts defaults in the place of zeros and refuses what cannot work.
func (c *Config) complete() error {
	if c.Handler == nil {
		return errors.New("goroutines: Config.Handler is missing: there is nothing to serve")
	}
	orDefault(&c.IdleTimeout, reactor.IdleTimeoutDefault)
	orDefault(&c.HeaderTimeout, reactor.HeaderTimeoutDefault)
	orDefault(&c.BodyTimeout, reactor.BodyTimeoutDefault)
	orDefault(&c.WriteTimeout, reactor.WriteTimeoutDefault)
	orDefault(&c.MaxHeader, MaxHeaderDefault)
	orDefault(&c.MaxBody, MaxBodyDefault)
	for _, hook := range []*func(int){&c.Finished, &c.Cut} {
		if *hook == nil {
			*hook = func(int) {}
		}
	}
	if c.Answered == nil {
		c.Answered = func() {}
	}
	if c.Report == nil {
		c.Report = func(error) {}
	}
	return nil
}

func orDefault[T time.Duration | int](value *T, preset T) {
	if *value <= 0 {
		*value = preset
	}
}
