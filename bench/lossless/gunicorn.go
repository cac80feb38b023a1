package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"prefork/bench/peer"
)

// gunicornRateMax is about a third of what its workers can do on two cores
// beside a generator.
const gunicornRateMax = 600

//go:embed app.py
var gunicornApp []byte

// gunicorn is an arbiter with its workers.
type gunicorn struct {
	*peer.Process
	workers int
}

// gunicornSubject is gunicorn with workers that serve several requests at once, by
// threads, or one at a time, which is what uneven work needs to be comparable.
func (p programs) gunicornSubject(sync bool) subject {
	s := subject{
		missing: p.missing["gunicorn"], rateMax: gunicornRateMax, spins: true, uneven: sync,
		start: func(ctx context.Context, at peer.Place) (server, error) {
			return startGunicorn(ctx, p.gunicorn, at, sync)
		},
	}
	if sync {
		s.only = uneven.name
	}
	return s
}

func startGunicorn(ctx context.Context, path string, at peer.Place, sync bool) (server, error) {
	if err := os.WriteFile(filepath.Join(at.Dir, "app.py"), gunicornApp, 0o600); err != nil {
		return nil, fmt.Errorf("write app of gunicorn: %w", err)
	}
	args := []string{
		path, "--bind", at.Addr, "--workers", fmt.Sprint(workers), "--chdir", at.Dir,
		// A worker that spins would else keep the end of the scenario waiting.
		"--graceful-timeout", "3",
	}
	if sync {
		args = append(args, "--worker-class", "sync")
	} else {
		// Idle kept connections would else be closed after two seconds, reload or not.
		args = append(args, "--worker-class", "gthread", "--threads", "8", "--keep-alive", "60")
	}
	p, err := peer.Start(ctx, peer.Spec{
		Name: "gunicorn", Args: append(args, "app:app"), Addr: at.Addr, Dir: at.Dir,
		Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
	})
	if err != nil {
		return nil, err
	}
	return started(ctx, &gunicorn{Process: p, workers: workers})
}

// Workers are all processes below the arbiter, also those that are leaving.
func (g *gunicorn) Workers(context.Context) ([]int, error) { return below(g.Process) }

// Reload waits until the old workers have gone.
func (g *gunicorn) Reload(ctx context.Context) error {
	before, err := g.Workers(ctx)
	if err != nil {
		return err
	}
	if err := g.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	return awaitWorkers(ctx, g, func(now []int) bool {
		return len(now) == g.workers && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
	})
}

// Scale sends one signal for each worker more or less. The arbiter acts on one
// before the next is sent: it forgets signals beyond five.
func (g *gunicorn) Scale(ctx context.Context, n int) error {
	for g.workers != n {
		step, sig := 1, syscall.SIGTTIN
		if g.workers > n {
			step, sig = -1, syscall.SIGTTOU
		}
		g.workers += step
		if err := g.Signal(sig); err != nil {
			return err
		}
		if err := awaitWorkers(ctx, g, func(now []int) bool { return len(now) == g.workers }); err != nil {
			return err
		}
	}
	return nil
}
