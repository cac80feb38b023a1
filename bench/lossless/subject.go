package main

import (
	"context"
	"io"
	"slices"

	"prefork/bench/peer"
)

// workers is how many every subject begins with.
const workers = 4

// subject is something that is compared. Its zero missing says that it is there.
type subject struct {
	name    string // of the flag -subject
	title   string // of tables and plots
	missing string // why it is left out
	start   func(ctx context.Context, at peer.Place) (server, error)
	// rateMax is the most that it can be asked for without being overloaded, in
	// requests a second; 0: as much as any scenario asks for. A subject that drops
	// requests because it is too slow would tell nothing about the event.
	rateMax int
	// spins says that a request can make a worker of it spin.
	spins bool
	// uneven says that a request can block a worker of it that has one at a time.
	uneven bool
	// only is the one event that the subject is for; empty: all.
	only string
	// slots says that its answers name a slot, which stays when a worker is replaced.
	slots bool
}

// server is a subject that runs.
type server interface {
	Addr() string
	// Workers are the PIDs of the processes that serve, in no particular order
	// that would last.
	Workers(ctx context.Context) ([]int, error)
	// Reload replaces all workers. It returns when new ones serve.
	Reload(ctx context.Context) error
	// Scale changes the number of workers. It returns when it is so, except that
	// workers may still be leaving.
	Scale(ctx context.Context, n int) error
	// Members are the PIDs of all of its processes.
	Members() ([]int, error)
	// Stop ends all of them.
	Stop() error
}

var subjectTitles = []struct{ name, title string }{
	{"prefork", "prefork"},
	{"prefork-alone", "prefork --helpers 0"},
	{"prefork-shared", "prefork --queue shared"},
	{"nginx", "nginx reuseport"},
	{"nginx-shared", "nginx shared queue"},
	{"gunicorn", "gunicorn gthread"},
	{"gunicorn-sync", "gunicorn sync"},
}

func subjectNames() []string {
	var names []string
	for _, s := range subjectTitles {
		names = append(names, s.name)
	}
	return names
}

// programs are what the subjects run.
type programs struct {
	prefork, nginx, gunicorn string // paths; empty: not there
	// helpers says that this prefork has siblings that help, and can switch it off.
	helpers bool
	// missing says why a program is not there, by its name.
	missing map[string]string
}

// findPrograms builds prefork and looks for the peers that are wanted.
func findPrograms(ctx context.Context, o options, dir string, log io.Writer) (programs, error) {
	p := programs{prefork: o.prefork, missing: map[string]string{}}
	if p.prefork == "" {
		source := peer.Source{Package: "prefork/cmd/prefork", Tags: "trial"}
		var err error
		if p.prefork, err = source.Build(ctx, dir); err != nil {
			return programs{}, err
		}
	}
	p.helpers = knowsHelpers(ctx, p.prefork)
	for _, wanted := range []struct {
		program  peer.Program
		subjects []string
		path     *string
	}{
		{peer.Program{Name: "nginx", Package: "nginx"}, []string{"nginx", "nginx-shared"}, &p.nginx},
		{peer.Program{Name: "gunicorn", Package: "gunicorn"}, []string{"gunicorn", "gunicorn-sync"}, &p.gunicorn},
	} {
		if !slices.ContainsFunc(wanted.subjects, func(name string) bool { return wants(o.subjects, name) }) {
			continue
		}
		path, err := peer.Find(ctx, wanted.program, o.install, log)
		if err != nil {
			p.missing[wanted.program.Name] = err.Error()
		}
		*wanted.path = path
	}
	return p, ctx.Err()
}

// subjects returns those that are wanted, with what is known about them.
func (p programs) subjects(o options) []subject {
	var all []subject
	for _, s := range subjectTitles {
		if !wants(o.subjects, s.name) {
			continue
		}
		defined := p.define(s.name)
		defined.name, defined.title = s.name, s.title
		all = append(all, defined)
	}
	return all
}

func (p programs) define(name string) subject {
	switch name {
	case "prefork":
		return p.preforkSubject("", "--helpers", "2")
	case "prefork-alone":
		if !p.helpers {
			return subject{missing: "this prefork has no --helpers: it is the same as prefork"}
		}
		return p.preforkSubject("", "--helpers", "0")
	case "prefork-shared":
		return p.preforkSubject("", "--queue", "shared")
	case "nginx", "nginx-shared":
		return p.nginxSubject(name == "nginx")
	}
	return p.gunicornSubject(name == "gunicorn-sync")
}
