package worker

import (
	"fmt"

	"prefork/ipc"
	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// service is one of the built-in apps, ready for a loop.
type service struct {
	newHandler func() reactor.Handler
	maxInput   int // the longest input that a handler may want to see whole; 0: the loop's default
}

// serviceConfig is what a service needs from its worker.
type serviceConfig struct {
	settings ipc.Settings
	self     proto.Hello
	draining func() bool
	answered func()
}

// newService makes the app that the settings name.
func newService(c serviceConfig) (service, error) {
	switch c.settings.App {
	case "hello":
		return newHTTPService(c), nil
	case "echo":
		return service{newHandler: func() reactor.Handler { return proto.Echo{} }}, nil
	}
	return service{}, fmt.Errorf("app %q is not built in: choose hello or echo", c.settings.App)
}

func newHTTPService(c serviceConfig) service {
	config := proto.HTTPConfig{
		App:       c.self.App(),
		MaxHeader: c.settings.MaxHeader,
		MaxBody:   c.settings.MaxBody,
		Draining:  c.draining,
		Answered:  c.answered,
	}
	if c.settings.Identify {
		config.Identity = c.self.Identity()
	}
	http := proto.NewHTTP(config)
	return service{newHandler: http.NewHandler, maxInput: http.MaxInput()}
}
