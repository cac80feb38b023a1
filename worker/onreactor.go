package worker

import (
	"fmt"
	"net"
	"net/http"

	"prefork/worker/jobs"
	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// protocol is what an event loop speaks.
type protocol struct {
	newHandler  func() reactor.Handler
	maxInput    int  // the longest that a handler may want to see whole; 0: the loop's default
	clientFirst bool // see reactor.Config; false when nobody knows
}

// newLoop makes an event loop that speaks a protocol.
func (c engineConfig) newLoop(p protocol) (*reactor.Loop, error) {
	if c.settings.TLS != nil {
		return nil, fmt.Errorf("the engine %s has no TLS: serve by engine %s, or leave out tls-cert and tls-key", onReactor, onGoroutines)
	}
	loop, err := reactor.New(reactor.Config{
		NewHandler:    p.newHandler,
		MaxInput:      p.maxInput,
		IdleTimeout:   c.settings.IdleTimeout,
		HeaderTimeout: c.settings.HeaderTimeout,
		BodyTimeout:   c.settings.BodyTimeout,
		DrainSpread:   c.settings.DrainSpread,
		ClientFirst:   p.clientFirst,
		Bell:          c.bell,
		Beat:          c.board.Beat,
		Accepted:      c.accepted,
		Helped:        c.helped,
		Requeued:      c.requeued,
		Connections:   c.connections,
		Given:         c.given,
		Taken:         c.taken,
		Finished:      c.finished,
		Cut:           c.cut,
		Report:        c.report,
	})
	if err != nil {
		return nil, fmt.Errorf("make event loop: %w", err)
	}
	return loop, nil
}

// newHTTPLoop makes an event loop that serves an app by HTTP: handler, if there is
// one, on goroutines, else the App of app.
func (c engineConfig) newHTTPLoop(app proto.HTTPConfig, handler http.Handler) (*reactor.Loop, error) {
	var loop *reactor.Loop // the app asks it later: a loop needs its handlers first
	app.MaxHeader, app.MaxBody = c.settings.MaxHeader, c.settings.MaxBody
	app.Identity, app.Answered = c.identity(), c.answered
	app.Draining = func() bool { return loop.Draining() }
	app.Addresses = func() (local, remote net.Addr) { return loop.Addresses() }
	jobs.New(jobs.Config{
		Lend:        func(errand reactor.Errand) { loop.Lend(errand) },
		Compute:     func(errand reactor.Errand) { loop.Compute(errand) },
		Handler:     handler,
		BodyTimeout: c.settings.BodyTimeout,
	}).Serve(&app)
	shared := proto.NewHTTP(app)
	loop, err := c.newLoop(protocol{newHandler: shared.NewHandler, maxInput: shared.MaxInput(), clientFirst: true})
	return loop, err
}

// newHandlers makes an event loop of a program's own handlers.
func (c engineConfig) newHandlers(newHandler func(*reactor.Loop) reactor.Handler) (offered, error) {
	var loop *reactor.Loop
	mine := func() reactor.Handler { return newHandler(loop) }
	loop, err := c.newLoop(protocol{newHandler: c.counting(mine)})
	if err != nil {
		return offered{}, err
	}
	return offered{engine: loop, protocol: protocolOf(mine())}, nil
}

// counting has the messages of a program's own protocol counted.
func (c engineConfig) counting(newHandler func() reactor.Handler) func() reactor.Handler {
	return func() reactor.Handler {
		counting := countingHandler{Handler: newHandler(), answered: c.answered}
		_, reuser := counting.Handler.(reactor.Reuser)
		_, portable := counting.Handler.(reactor.Portable)
		switch {
		case reuser && portable:
			return countingBoth{countingPortable{counting}}
		case reuser:
			return countingReuser{counting}
		case portable:
			return countingPortable{counting}
		}
		return counting
	}
}

// countingHandler counts the messages of a connection: a handler consumes nothing
// of one that is incomplete.
type countingHandler struct {
	reactor.Handler
	answered func()
}

func (h countingHandler) Handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	consumed, output, next = h.Handler.Handle(in, out)
	if consumed > 0 {
		h.answered()
	}
	return consumed, output, next
}

// countingReuser is countingHandler for one that serves several connections, one
// after the other.
type countingReuser struct{ countingHandler }

func (h countingReuser) Reuse() { h.Handler.(reactor.Reuser).Reuse() }

// countingPortable is countingHandler for one that can go on in another process.
type countingPortable struct{ countingHandler }

func (h countingPortable) Pack() (packed []byte, ok bool) {
	return h.Handler.(reactor.Portable).Pack()
}

func (h countingPortable) Unpack(packed []byte) error {
	return h.Handler.(reactor.Portable).Unpack(packed)
}

// countingBoth is countingHandler for one that can do both.
type countingBoth struct{ countingPortable }

func (h countingBoth) Reuse() { h.Handler.(reactor.Reuser).Reuse() }
