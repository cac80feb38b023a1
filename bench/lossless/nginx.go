package main

import (
	"context"
	"slices"
	"strings"
	"syscall"

	"prefork/bench/peer"
)

// nginx is a master process with its workers.
type nginx struct {
	*peer.Process
	config peer.Nginx
}

func (p programs) nginxSubject(reuseport bool) subject {
	return subject{
		missing: p.missing["nginx"],
		start: func(ctx context.Context, at peer.Place) (server, error) {
			return startNginx(ctx, p.nginx, at, reuseport)
		},
	}
}

func startNginx(ctx context.Context, path string, at peer.Place, reuseport bool) (server, error) {
	config := peer.Nginx{
		Path: path, Dir: at.Dir, Addr: at.Addr, Workers: workers, Reuseport: reuseport, Body: "hello\n", Identify: true,
	}
	spec, err := config.Spec()
	if err != nil {
		return nil, err
	}
	p, err := peer.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	n := &nginx{Process: p, config: config}
	return started(ctx, n)
}

// Workers are those that accept: nginx renames those that are leaving.
func (n *nginx) Workers(context.Context) ([]int, error) {
	pids, err := below(n.Process)
	return slices.DeleteFunc(pids, func(pid int) bool { return !strings.HasSuffix(titleOf(pid), "worker process") }), err
}

// Reload does what `nginx -s reload` does, and waits.
func (n *nginx) Reload(ctx context.Context) error {
	before, err := n.Workers(ctx)
	if err != nil {
		return err
	}
	if err := n.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	return awaitWorkers(ctx, n, func(now []int) bool {
		return len(now) == n.config.Workers && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
	})
}

// Scale changes the configuration and reloads it: nginx knows no other way.
func (n *nginx) Scale(ctx context.Context, workers int) error {
	n.config.Workers = workers
	if err := n.config.Write(); err != nil {
		return err
	}
	return n.Reload(ctx)
}
