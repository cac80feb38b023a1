package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"prefork/bench/chart"
)

const (
	exitDone   = 0 // prefork costs no more than it may
	exitBroken = 1 // it does, or the comparison could not be made
	exitUsage  = 2
)

// run is the command as a function of its arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	found, err := compare(ctx, o, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "compare: %v\n", err)
		return exitBroken
	}
	found.show(stdout)
	if o.write {
		if err := found.write(resultsDir, args); err != nil {
			fmt.Fprintln(stderr, err)
			return exitBroken
		}
	}
	problems := chart.Broken(limits(found.sections), false)
	for _, problem := range problems {
		fmt.Fprintf(stderr, "prefork broke a limit: %s\n", problem)
	}
	if len(problems) > 0 {
		return exitBroken
	}
	return exitDone
}

// compare builds and finds what is wanted and lets it take turns.
func compare(ctx context.Context, o options, log io.Writer) (found results, err error) {
	dir, err := os.MkdirTemp("", "http")
	if err != nil {
		return results{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := workshop{dir: dir, prefork: o.prefork, install: o.install, log: log}
	subjects, err := w.subjects(ctx, o.subjects)
	if err != nil {
		return results{}, err
	}
	l, err := newLab(ctx, w, o.quick)
	if err != nil {
		return results{}, err
	}
	found = results{facts: w.facts(ctx, subjects, time.Now()), subjects: subjects, notes: l.notes, size: l.size, rounds: o.rounds}
	found.sections, err = l.compare(ctx, subjects, o.modes, o.rounds)
	return found, err
}
