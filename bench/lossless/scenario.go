package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"prefork/bench/chart"
	"prefork/bench/load"
	"prefork/bench/peer"
)

const (
	// clientPatience is how long a client waits for its answer: a service whose
	// users wait longer has lost them.
	clientPatience = 2 * time.Second
	// loadMax bounds one load; what happens under it ends long before.
	loadMax = 2 * time.Minute
	// keptConnections is the number of clients with a connection that stays.
	keptConnections = 64
	// triesMax is how often a round is made that something else disturbs: one in
	// which more than lateShareMax of the requests left late.
	triesMax     = 3
	lateShareMax = 0.05
)

// size is how much of everything is done.
type size struct {
	reloads int           // in a load
	shrinks int           // in a load
	hang    time.Duration // how long a worker stands still
	kills   int           // in a load
	calm    time.Duration // a load under which nothing happens
	pairs   int           // of slices, for the cost
	slice   time.Duration // one measurement of the cost
	// lead is the time under load before, between and after events.
	lead time.Duration
}

var (
	fullSize = size{
		reloads: 4, shrinks: 8, hang: 5 * time.Second, kills: 20, calm: 12 * time.Second,
		pairs: 30, slice: time.Second, lead: 500 * time.Millisecond,
	}
	quickSize = size{
		reloads: 2, shrinks: 2, hang: 1500 * time.Millisecond, kills: 4, calm: 3 * time.Second,
		pairs: 3, slice: 200 * time.Millisecond, lead: 200 * time.Millisecond,
	}
)

// lab is where scenarios happen.
type lab struct {
	dir      string // for the folders of subjects
	subjects []subject
	size     size
	repeat   int
	log      io.Writer // progress
}

// section is what one scenario has found.
type section struct {
	name, title string
	rows        []row
	costs       []cost
	limits      []chart.Limit
	notes       []string
}

// scenario is something that is done with subjects.
type scenario struct {
	name string // of the flag -scenario
	run  func(ctx context.Context, l *lab) ([]section, error)
}

var scenarios = []scenario{
	{"reload", besideCalm(onEvents(reloadNew, calmKept, reloadKept))},
	{"shrink", onEvents(shrink, shrinkKept)},
	{"hang", onEvents(hang)},
	{"spin", onEvents(spin)},
	{"crash", onEvents(crash)},
	{"spread", onEvents(spread)},
	{"uneven", onEvents(uneven)},
	{"cost", runCost},
}

func scenarioNames() []string {
	var all []string
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// event is what happens to a server under load, and what that may cost it.
type event struct {
	name, title string
	mode        load.Mode
	rate        int
	path        string
	// repeat is the least number of repetitions.
	repeat int
	// unable says why a subject has no such event; nil: all have.
	unable func(subject) string
	// before happens before the load; nil: nothing.
	before func(ctx context.Context, s server, size size) error
	// under happens while the load runs. It returns how many workers it hurt.
	under func(ctx context.Context, s server, size size) (hurt int, err error)
	// spread says how to see who took how much.
	spread spreadBy
	limits limits
}

// onEvents makes a scenario of events.
func onEvents(events ...event) func(context.Context, *lab) ([]section, error) {
	return func(ctx context.Context, l *lab) ([]section, error) {
		var all []section
		for _, e := range events {
			s, err := l.observe(ctx, e)
			if err != nil {
				return all, err
			}
			all = append(all, s)
		}
		return all, nil
	}
}

// besideCalm adds what a reload may cost clients with kept connections: as much again
// as a quiet time does, and a little more.
func besideCalm(run func(context.Context, *lab) ([]section, error)) func(context.Context, *lab) ([]section, error) {
	return func(ctx context.Context, l *lab) ([]section, error) {
		sections, err := run(ctx, l)
		if err != nil {
			return sections, err
		}
		quiet, stirred := sectionOf(sections, calmKept.name), sectionOf(sections, reloadKept.name)
		stirred.limits = append(stirred.limits, beside(quiet.rows, stirred.rows)...)
		return sections, nil
	}
}

func sectionOf(sections []section, name string) *section {
	return &sections[slices.IndexFunc(sections, func(s section) bool { return s.name == name })]
}

// observe puts every subject through an event, in turn, several times.
func (l *lab) observe(ctx context.Context, e event) (section, error) {
	found := section{name: e.name, title: e.title}
	for _, s := range l.subjects {
		if s.only == "" || s.only == e.name {
			found.rows = append(found.rows, e.newRow(s))
		}
	}
	for round := range max(l.repeat, e.repeat) {
		for _, i := range order(len(found.rows), round) {
			r := &found.rows[i]
			if r.skipped != "" {
				continue
			}
			fmt.Fprintf(l.log, "%s: %s, %d of %d\n", e.name, r.title, round+1, max(l.repeat, e.repeat))
			if err := l.round(ctx, e, r); err != nil {
				if ctx.Err() != nil {
					return found, ctx.Err()
				}
				r.skipped = err.Error()
			}
		}
	}
	found.limits = e.limits.check(found.rows)
	found.notes = disturbances(found.rows)
	return found, nil
}

// order is 0, 1, … n-1, and backwards in every second round, so that no subject is
// always the one that comes after a certain other.
func order(n, round int) []int {
	var all []int
	for i := range n {
		all = append(all, i)
	}
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

// round puts one subject through an event, and once more where the machine was busy
// with something else. The last try counts, whatever it was like: a subject that
// itself keeps the machine busy does so each time.
func (l *lab) round(ctx context.Context, e event, r *row) error {
	for try := 1; ; try++ {
		report, hurt, err := l.once(ctx, e, r)
		if err != nil {
			return err
		}
		if try == triesMax || !disturbed(report) {
			r.add(report, hurt, e.spread)
			return nil
		}
		r.disturbed++
		fmt.Fprintf(l.log, "%s: %s: the generator was late for %d of %d requests, once more\n", e.name, r.title, report.Late, report.Sent)
	}
}

// disturbed says that the generator could not keep its schedule, and that nothing
// else than time was too short. A reset is never the fault of a busy machine.
func disturbed(report load.Report) bool {
	for class, n := range report.Failed {
		if class != load.TimedOut && n > 0 {
			return false
		}
	}
	return report.Mode == load.NewConnection && report.Late > int(lateShareMax*float64(report.Sent))
}

// once puts one subject through an event.
func (l *lab) once(ctx context.Context, e event, r *row) (report load.Report, hurt int, err error) {
	at, err := peer.NewPlace(l.dir)
	if err != nil {
		return load.Report{}, 0, err
	}
	s, err := r.subject.start(ctx, at)
	if err != nil {
		return load.Report{}, 0, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if e.before != nil {
		if err := e.before(ctx, s, l.size); err != nil {
			return load.Report{}, 0, err
		}
	}
	return e.underLoad(ctx, s, r.rate, l.size)
}

// underLoad loads a server while the event happens, and for a moment before and
// after.
func (e event) underLoad(ctx context.Context, s server, rate int, size size) (load.Report, int, error) {
	g, err := load.Start(ctx, load.Config{
		Addr: s.Addr(), Path: e.path, Mode: e.mode, Rate: rate, Duration: loadMax,
		Clients: keptConnections, Timeout: clientPatience,
	})
	if err != nil {
		return load.Report{}, 0, err
	}
	hurt := 0
	if err = pause(ctx, size.lead); err == nil {
		if hurt, err = e.under(ctx, s, size); err == nil {
			err = pause(ctx, size.lead)
		}
	}
	g.Stop()
	return g.Wait(), hurt, err
}
