package goroutines

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"prefork/worker/reactor"
)

// Engine serves an http.Handler on listening sockets that it is given. The
// package comment says what it promises.
type Engine struct {
	config Config
	loop   *reactor.Loop
	intake *intake
	server http.Server
	log    *complaints
	tls    *tls.Config // nil: none

	// draining is set BEFORE the loop hears of the drain and never cleared.
	draining atomic.Bool

	estate
	giving sync.Mutex // held while a connection is detached

	mu    sync.Mutex
	conns map[*conn]struct{} // the open ones
	// unread counts those that no goroutine has begun to read from: see awaitReaders.
	unread  int
	readers sync.Cond // unread has become less

	hooks sync.RWMutex // held for reading while a hook is called from a connection
	over  bool         // Run returns: no hook any more
}

// New prepares an engine; it accepts nothing yet. The caller calls Run, or Close
// if it never does. Errors: a missing Handler, and what the kernel refuses.
func New(config Config) (*Engine, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	e := &Engine{config: config, conns: map[*conn]struct{}{}}
	e.readers.L = &e.mu
	e.intake = &intake{engine: e}
	var err error
	e.loop, err = reactor.New(reactor.Config{
		Taker:       e.intake,
		ClientFirst: true, // in HTTP
		DrainSpread: config.DrainSpread,
		Bell:        config.Bell,
		Beat:        config.Beat,
		Accepted:    config.Accepted,
		Helped:      config.Helped,
		Requeued:    config.Requeued,
		Connections: config.Connections,
		Given:       config.Given,
		Taken:       config.Taken,
		Report:      e.report,
	})
	if err != nil {
		return nil, fmt.Errorf("make accept loop: %w", err)
	}
	e.prepareServer()
	e.prepareTLS()
	return e, nil
}

func (e *Engine) prepareServer() {
	e.log = &complaints{report: e.report}
	e.server = http.Server{
		Handler:           http.HandlerFunc(e.serve),
		IdleTimeout:       e.config.IdleTimeout,
		ReadHeaderTimeout: e.config.HeaderTimeout,
		// conn counts to the byte, so net/http's own limit, which is 4 KiB
		// farther away, is never reached.
		MaxHeaderBytes: e.config.MaxHeader,
		Protocols:      new(http.Protocols),
		ErrorLog:       log.New(e.log, "", 0),
		ConnContext:    rememberConn,
		ConnState:      followConn,
		// Or net/http would answer "OPTIONS *" without serve, which must see
		// every request.
		DisableGeneralOptionsHandler: true,
	}
	e.server.Protocols.SetHTTP1(true)
}

// connKey finds a request's conn in its context.
type connKey struct{}

func rememberConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connOf(c))
}

// connOf finds the conn in what net/http was given.
func connOf(c net.Conn) *conn {
	if secure, ok := c.(secureConn); ok {
		return secure.conn
	}
	return c.(*conn)
}

// followConn tells a conn what net/http thinks about it. That it is active is not
// among it: net/http does not say so of a request that it has read ahead.
func followConn(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateIdle:
		connOf(c).becomeIdle()
	case http.StateHijacked:
		connOf(c).becomeHijacked()
	}
}

// Listen adds a listening socket, as reactor.Loop.Listen does. Call it before Run
// or by Post.
func (e *Engine) Listen(fd int) error { return e.loop.Listen(fd) }

// Help watches the listening sockets of a sibling, as reactor.Loop.Help does. Call
// it before Run or by Post; left is called on the accept loop.
func (e *Engine) Help(sibling int, fds []int, left func()) error {
	return e.loop.Help(sibling, fds, left)
}

// Post has the accept loop run task once, as reactor.Loop.Post does.
func (e *Engine) Post(task func()) error { return e.loop.Post(task) }

// Drain ends the engine gracefully; any goroutine may call it. The listening
// sockets, the siblings' too, leave the poller, what waits in their queues is
// accepted, then left is called on the accept loop (nil: nobody to tell). Idle
// connections go to heirs if there are some, see Give, else they close; requests under
// way are answered. Run returns when the last connection has gone.
//
// At deadline (CLOCK_MONOTONIC, ns; 0: none) whatever is still open is closed as
// it is. A second Drain can bring the deadline nearer, never move it away.
func (e *Engine) Drain(deadline int64, left func()) {
	e.draining.Store(true)
	e.loop.Drain(deadline, func() {
		e.follow() // BEFORE anybody hears that the drain has come so far
		if left != nil {
			left()
		}
	})
}

// Run serves until a drain is complete (nil) or the accept loop fails.
func (e *Engine) Run() error {
	err := e.server.Serve(e.intake)
	if errors.Is(err, errDrained) {
		err = nil
	}
	return errors.Join(err, e.Close())
}

// Close releases an engine that is never run. Listening sockets stay open.
func (e *Engine) Close() error {
	err := e.loop.Close()
	e.hooks.Lock()
	defer e.hooks.Unlock()
	e.over = true
	return err
}

func (e *Engine) answered() {
	e.hooks.RLock()
	defer e.hooks.RUnlock()
	if !e.over {
		e.config.Answered()
	}
}

// ended counts connections by a hook.
func (e *Engine) ended(hook func(int)) {
	e.hooks.RLock()
	defer e.hooks.RUnlock()
	if !e.over {
		hook(1)
	}
}

func (e *Engine) report(err error) {
	e.hooks.RLock()
	defer e.hooks.RUnlock()
	if !e.over {
		e.config.Report(err)
	}
}

func (e *Engine) add(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns[c] = struct{}{}
	e.unread++
}

// begun: a goroutine reads from one connection more.
func (e *Engine) begun() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unread--
	e.readers.Signal()
}

// unreadMax is how many connections may wait for a goroutine to read from them while
// more are accepted.
const unreadMax = 4

// awaitReaders has accepting wait for the goroutines that read. On a machine that is
// short of CPU, a loop that runs ahead of them collects connections that nobody
// reads, and all of them wait if this process is stopped then. In the queue siblings
// take them.
func (e *Engine) awaitReaders() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.unread > unreadMax {
		e.readers.Wait()
	}
}

// remove forgets a closed connection. The last one of a drain wakes the loop,
// which would find out by itself only half a second later.
func (e *Engine) remove(c *conn) {
	e.mu.Lock()
	delete(e.conns, c)
	n := len(e.conns)
	e.mu.Unlock()
	if n == 0 && e.draining.Load() {
		_ = e.loop.Post(func() {}) // if it is full it is awake, and if it has ended all is well
	}
}

// open returns the connections that are open now.
func (e *Engine) open() []*conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*conn, 0, len(e.conns))
	for c := range e.conns {
		all = append(all, c)
	}
	return all
}
