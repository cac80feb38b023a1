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
	exitDone   = 0 // prefork lost no more than it may
	exitBroken = 1 // it did, or the comparison could not be made
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
	found, err := compare(ctx, o, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "compare: %v\n", err)
		return exitBroken
	}
	if o.write {
		if err := found.write(resultsDir); err != nil {
			fmt.Fprintln(stderr, err)
			return exitBroken
		}
	}
	problems := chart.Broken(judged(found.sections), o.strict)
	for _, problem := range problems {
		fmt.Fprintf(stderr, "prefork broke a limit: %s\n", problem)
	}
	if len(problems) > 0 {
		return exitBroken
	}
	return exitDone
}

// compare runs what is wanted and shows each section when it is there.
func compare(ctx context.Context, o options, stdout, stderr io.Writer) (found results, err error) {
	dir, err := os.MkdirTemp("", "lossless")
	if err != nil {
		return results{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := findPrograms(ctx, o, dir, stderr)
	if err != nil {
		return results{}, err
	}
	l := &lab{dir: dir, subjects: p.subjects(o), size: fullSize, repeat: o.repeat, log: stderr}
	if o.quick {
		l.size = quickSize
	}
	found = results{facts: facts(ctx, p, time.Now()), subjects: l.subjects, repeat: o.repeat}
	for _, line := range leftOut(l.subjects) {
		fmt.Fprintln(stdout, line)
	}
	for _, s := range scenarios {
		if !wants(o.scenarios, s.name) {
			continue
		}
		sections, err := s.run(ctx, l)
		for _, section := range sections {
			fmt.Fprintln(stdout, section.table().Text())
		}
		if err != nil {
			return found, err
		}
		found.sections = append(found.sections, sections...)
	}
	fmt.Fprintln(stdout, verdicts(found.sections).Text())
	return found, nil
}
