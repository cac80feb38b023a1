package worker

import (
	"errors"
	"fmt"
	"slices"

	"prefork/ipc"
	"prefork/worker/proto"
	"prefork/worker/reactor"
	"prefork/worker/static"
)

// The engines, by the names that the configuration uses.
const (
	onReactor    = "reactor"
	onGoroutines = "goroutines"
)

// The built-in apps.
const (
	appHello  = "hello"
	appStatic = "static"
	appEcho   = "echo"
)

// BuiltIn is for [Live]: it serves the built-in app that the configuration names,
// on the engine that it names.
func BuiltIn(w *Worker) error { return w.serve(newBuiltIn) }

// newBuiltIn makes the engine that the settings name, with the app that they name.
func newBuiltIn(c engineConfig) (offered, error) {
	name, err := chooseEngine(c.settings)
	switch {
	case err != nil:
		return offered{}, err
	case c.settings.App == appStatic:
		return newSite(c, name)
	case c.settings.App == appEcho:
		loop, err := c.newLoop(protocol{newHandler: func() reactor.Handler { return proto.Echo{} }})
		return offered{engine: loop, protocol: protocolOf(proto.Echo{})}, err
	case name == onGoroutines:
		return c.offer(c.newGoroutines(answersHandler{answer: c.answers()}))
	}
	return c.offer(c.newHTTPLoop(proto.HTTPConfig{App: c.answers().App()}, nil))
}

// enginesOf are the engines that can run an app, its default first. Echo is no HTTP,
// and goroutines speaks nothing else.
var enginesOf = map[string][]string{
	appHello:  {onReactor, onGoroutines},
	appStatic: {onReactor, onGoroutines},
	appEcho:   {onReactor},
}

// answersOf are the apps that are a function of the request.
var answersOf = map[string]func(engineConfig) proto.Answers{
	appHello: func(c engineConfig) proto.Answers { return c.self.Answers() },
}

// answers returns the app that the settings name, one of answersOf.
func (c engineConfig) answers() proto.Answers { return answersOf[c.settings.App](c) }

// chooseEngine returns the engine that the settings name, or the default of their
// app.
func chooseEngine(s ipc.Settings) (string, error) {
	engines, known := enginesOf[s.App]
	switch {
	case !known:
		return "", fmt.Errorf("app %q is not built in: choose %s, %s or %s", s.App, appHello, appStatic, appEcho)
	case s.Engine == "":
		return engines[0], nil
	case slices.Contains(engines, s.Engine):
		return s.Engine, nil
	case s.Engine == onReactor || s.Engine == onGoroutines:
		return "", fmt.Errorf("app %q does not run on engine %q: choose engine %s, or leave it out", s.App, s.Engine, engines[0])
	}
	return "", fmt.Errorf("engine %q is not built in: choose %s or %s", s.Engine, onReactor, onGoroutines)
}

// newSite makes an engine that serves the folder of the settings.
func newSite(c engineConfig, name string) (offered, error) {
	site, err := static.Open(c.settings.Root)
	if err != nil {
		return offered{}, err
	}
	var o offered
	if name == onGoroutines {
		o, err = c.offer(c.newGoroutines(site))
	} else {
		o, err = c.offer(c.newHTTPLoop(proto.HTTPConfig{}, site)) // reading a file can block
	}
	if err != nil {
		return offered{}, errors.Join(err, site.Close())
	}
	o.engine = siteEngine{engine: o.engine, site: site}
	return o, nil
}

// siteEngine closes the folder that it serves when it ends.
type siteEngine struct {
	engine
	site *static.Site
}

func (e siteEngine) Run() error { return errors.Join(e.engine.Run(), e.site.Close()) }
