package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	repeatDefault = 3
	repeatMax     = 100
)

// options are what the command line says.
type options struct {
	scenarios []string // names; empty: all
	subjects  []string // names; empty: all
	repeat    int
	quick     bool
	install   bool
	write     bool
	strict    bool
	prefork   string // a binary to judge instead of this tree's; "" builds one
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("lossless", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints the error, once
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: lossless [flags]")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
	}
	scenarios := flags.String("scenario", "", "`names` with commas between, of: "+strings.Join(scenarioNames(), ", ")+" (default all)")
	subjects := flags.String("subject", "", "`names` with commas between, of: "+strings.Join(subjectNames(), ", ")+" (default all)")
	flags.IntVar(&o.repeat, "repeat", repeatDefault, "how often each case is run")
	flags.BoolVar(&o.quick, "quick", false, "a short form of everything: for a look, not for figures")
	flags.BoolVar(&o.install, "install", true, "install peers that are absent (Debian, root)")
	flags.BoolVar(&o.write, "write", false, "write tables and plots into "+resultsDir+"; for a full run from the root of the tree")
	flags.BoolVar(&o.strict, "strict", false, "let latencies and ratios beyond their limits fail the run, too")
	flags.StringVar(&o.prefork, "prefork", "", "judge this `binary`, built with -tags trial, instead of one of this tree")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.scenarios, o.subjects = names(*scenarios), names(*subjects)
	return o, o.check(flags.Args())
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// check returns every problem at once.
func (o options) check(rest []string) error {
	var problems []error
	refuse := func(format string, values ...any) {
		problems = append(problems, fmt.Errorf(format, values...))
	}
	if len(rest) > 0 {
		refuse("argument %q: there are only flags; see -h", rest[0])
	}
	if o.repeat < 1 || o.repeat > repeatMax {
		refuse("-repeat %d: must be 1 to %d", o.repeat, repeatMax)
	}
	for _, name := range o.scenarios {
		if !slices.Contains(scenarioNames(), name) {
			refuse("-scenario %s: unknown; choose of %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	for _, name := range o.subjects {
		if !slices.Contains(subjectNames(), name) {
			refuse("-subject %s: unknown; choose of %s", name, strings.Join(subjectNames(), ", "))
		}
	}
	if partly := o.quick || len(o.scenarios) > 0 || len(o.subjects) > 0; o.write && partly {
		refuse("-write: results are those of a full run; leave out -quick, -scenario and -subject")
	}
	return errors.Join(problems...)
}

// wants says whether a name is in a list, where an empty one stands for all.
func wants(list []string, name string) bool {
	return len(list) == 0 || slices.Contains(list, name)
}
