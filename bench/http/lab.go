package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"prefork/bench/peer"
)

// mode is how clients behave while something is measured.
type mode string

const (
	keepAlive mode = "keepalive" // connections stay, each asks again when it has its answer
	short     mode = "short"     // a connection for each request
	idle      mode = "idle"      // connections stay and do not ask again
)

var modes = []mode{keepAlive, short, idle}

func modeNames() []string {
	var names []string
	for _, m := range modes {
		names = append(names, string(m))
	}
	return names
}

// clients is how many ask at a time.
const clients = 64

// idleRoundsMax is enough for a figure that is nearly the same each time.
const idleRoundsMax = 3

// size is how much of everything is done.
type size struct {
	warm, slice time.Duration // of load: before a measurement, and under it
	connections int           // of mode idle
}

var (
	fullSize  = size{warm: 500 * time.Millisecond, slice: 2 * time.Second, connections: 12_000}
	quickSize = size{warm: 200 * time.Millisecond, slice: 500 * time.Millisecond, connections: 3_000}
)

// lab is where subjects are measured.
type lab struct {
	dir       string // for the folders of subjects
	generator string // path of the program that makes load
	size      size
	log       io.Writer // progress
	// Of the servers and of what loads them; empty: not bound to any.
	serverCores, generatorCores []int
	notes                       []string
}

func newLab(ctx context.Context, w workshop, quick bool) (*lab, error) {
	generator, err := peer.Source{Package: "prefork/bench/load/cmd"}.Build(ctx, w.dir)
	if err != nil {
		return nil, err
	}
	l := &lab{dir: w.dir, generator: generator, size: fullSize, log: w.log}
	if quick {
		l.size = quickSize
	}
	cores, err := peer.Cores()
	if err != nil {
		return nil, err
	}
	if len(cores) < 2 {
		l.notes = append(l.notes, "Servers and load generator share one core: there is no other.")
		return l, nil
	}
	// The first one has more of what else the machine does.
	l.serverCores, l.generatorCores = cores[len(cores)-1:], cores[:1]
	return l, nil
}

// compare lets subjects take turns in every mode, round after round.
func (l *lab) compare(ctx context.Context, subjects []subject, names []string, rounds int) ([]section, error) {
	var all []section
	for _, name := range names {
		all = append(all, newSection(mode(name), subjects))
	}
	for round := range rounds {
		for i := range all {
			if all[i].mode == idle && round >= idleRoundsMax {
				continue
			}
			fmt.Fprintf(l.log, "%s: round %d of %d\n", all[i].mode, round+1, rounds)
			if err := l.turns(ctx, &all[i], round); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// turns measures each subject of a section once. One that fails is given up.
func (l *lab) turns(ctx context.Context, s *section, round int) error {
	for _, i := range turn(len(s.rows), round) {
		r := &s.rows[i]
		if r.skipped != "" {
			continue
		}
		got, err := l.measure(ctx, r.subject, s.mode)
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		if err != nil {
			r.skipped = err.Error()
			continue
		}
		r.samples = append(r.samples, got)
	}
	return nil
}

// turn is the order of n subjects in a round: each begins once, and the one who was
// before another is behind it in the next round.
func turn(n, round int) []int {
	var order []int
	for i := range n {
		order = append(order, (i+round/2)%n)
	}
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// measure starts a subject, measures it, and ends it: nobody measured has another
// beside it, and none has a past.
func (l *lab) measure(ctx context.Context, s subject, m mode) (got sample, err error) {
	if m == idle {
		// BEFORE the start: a server has the limit that it was started with.
		if err := peer.RaiseDescriptors(uint64(l.size.connections + descriptorsSpare)); err != nil {
			return sample{}, err
		}
	}
	at, err := peer.NewPlace(l.dir)
	if err != nil {
		return sample{}, err
	}
	spec, err := s.spec(s.path, at, m)
	if err != nil {
		return sample{}, err
	}
	spec.Name, spec.Dir, spec.Addr, spec.Cores = s.title, at.Dir, at.Addr, l.serverCores
	p, err := peer.Start(ctx, spec)
	if err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if m == idle {
		return l.measureIdle(ctx, p)
	}
	return l.measureRequest(ctx, p, m)
}
