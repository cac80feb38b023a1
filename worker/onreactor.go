package worker

import (
	"fmt"

	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// newReactor makes an event loop that serves an app that answers HTTP, or echo.
func newReactor(c engineConfig) (engine, error) {
	var loop *reactor.Loop // the app asks it later: a loop needs its handlers first
	newHandler, maxInput := c.handlers(func() bool { return loop.Draining() })
	loop, err := reactor.New(reactor.Config{
		NewHandler:    newHandler,
		MaxInput:      maxInput,
		IdleTimeout:   c.settings.IdleTimeout,
		HeaderTimeout: c.settings.HeaderTimeout,
		BodyTimeout:   c.settings.BodyTimeout,
		ClientFirst:   c.settings.App != appEcho, // in HTTP; who knows what is echoed to
		Bell:          c.bell,
		Beat:          c.board.Beat,
		Accepted:      c.accepted,
		Helped:        c.helped,
		Requeued:      c.requeued,
		Connections:   c.connections,
		Report:        c.report,
	})
	if err != nil {
		return nil, fmt.Errorf("make event loop: %w", err)
	}
	return loop, nil
}

// handlers returns what makes a connection's handler, and the longest input that
// one may want to see whole; 0: the loop's default.
func (c engineConfig) handlers(draining func() bool) (newHandler func() reactor.Handler, maxInput int) {
	if c.settings.App == appEcho {
		return func() reactor.Handler { return proto.Echo{} }, 0
	}
	http := proto.NewHTTP(proto.HTTPConfig{
		App:       c.answers().App(),
		MaxHeader: c.settings.MaxHeader,
		MaxBody:   c.settings.MaxBody,
		Identity:  c.identity(),
		Draining:  draining,
		Answered:  c.answered,
	})
	return http.NewHandler, http.MaxInput()
}
