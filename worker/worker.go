package worker

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// Worker is what a program knows about the worker that it is, and how it serves:
// by ServeHTTP, ServeFastHTTP (or ServeFastHTTPAt) or Serve, one of them, once. Its methods may be
// called from any goroutine.
type Worker struct {
	config engineConfig
	life   *life
	begun  atomic.Bool
}

// Slot is the number of the place that this worker fills, from 0: it shares it with
// nobody but its predecessor, while that one drains.
func (w *Worker) Slot() int { return w.config.self.Slot }

// Generation is the version of configuration and code that this worker serves,
// from 1: the next reload makes the next one.
func (w *Worker) Generation() uint64 { return w.config.self.Generation }

// Incarnation is this worker's own number in its master's life: no other worker
// has it, before or after, in whatever slot.
func (w *Worker) Incarnation() uint64 { return w.config.self.Incarnation }

// ServeHTTP serves handler by net/http, with a goroutine for each connection, as
// package goroutines has it. The timeouts and limits are those of the
// configuration: idle-timeout, header-timeout, body-timeout (beyond: the
// connection closes), max-header (431) and max-body (413).
//
// It says that the worker is ready, and returns nil when the worker's drain is
// complete. An error says why it cannot begin, or not go on; return it.
func (w *Worker) ServeHTTP(handler http.Handler) error {
	if handler == nil {
		return errors.New("ServeHTTP got no handler: give it one, such as http.DefaultServeMux")
	}
	return w.serve(func(c engineConfig) (offered, error) { return c.offer(c.newGoroutines(handler)) })
}

// ServeFastHTTP serves handler on an event loop, as packages proto and reactor
// have it. It must not block: while it runs, no other connection of this worker
// goes on. Requests with a body of more than 64 KiB run on goroutines of their own, so
// handler must be ready to run on several at once. The limits are those of ServeHTTP,
// and so is the result.
func (w *Worker) ServeFastHTTP(handler fasthttp.RequestHandler) error {
	return w.ServeFastHTTPAt(nil, handler)
}

// ServeFastHTTPAt is ServeFastHTTP for a handler some of whose requests would keep the
// loop: place says of each request where handler answers it, on the loop, on a pool of
// goroutines (what occupies a CPU) or on one of its own (what waits for something). place
// itself runs on the loop. nil: all on the loop.
func (w *Worker) ServeFastHTTPAt(place func(*fasthttp.RequestCtx) proto.Place, handler fasthttp.RequestHandler) error {
	if handler == nil {
		return errors.New("ServeFastHTTP got no handler: give it one")
	}
	return w.serve(func(c engineConfig) (offered, error) {
		return c.offer(c.newHTTPLoop(proto.HTTPConfig{App: handler, Place: place}, nil))
	})
}

// Serve serves a protocol of the program's own on an event loop: newHandler makes
// the handler of each new connection. Neither may block: what takes long goes by the
// loop's Lend and Compute. idle-timeout,
// header-timeout and body-timeout of the configuration apply as the handler's
// phases say, and a message has at most reactor.MaxInputDefault bytes. Each
// message that a handler consumes counts as a request. The result is that of
// ServeHTTP.
//
// Handlers that are reactor.Portable let their connections go on in another worker of
// the same program when this one drains. newHandler is called once before there is any
// connection, to see whether they are.
func (w *Worker) Serve(newHandler func(*reactor.Loop) reactor.Handler) error {
	if newHandler == nil {
		return errors.New("Serve got no function that makes handlers: give it one")
	}
	return w.serve(func(c engineConfig) (offered, error) { return c.newHandlers(newHandler) })
}

// serve makes an engine and runs it for the rest of this life.
func (w *Worker) serve(newEngine func(engineConfig) (offered, error)) error {
	if w.begun.Swap(true) {
		return errors.New("a worker serves once in its life: call ServeHTTP, ServeFastHTTP or Serve once")
	}
	e, err := newEngine(w.config)
	if err != nil {
		return err
	}
	return w.life.carry(e)
}
