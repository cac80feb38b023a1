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
	roundsDefault = 7
	roundsQuick   = 2
	roundsMax     = 100
)

// options are what the command line says.
type options struct {
	subjects []string // names, at least one
	modes    []string // names, at least one
	rounds   int
	quick    bool
	install  bool
	write    bool
	prefork  string // a binary to measure instead of this tree's; "" builds one
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{subjects: subjectNames(), modes: modeNames()}
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints the error, once
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: http [flags]")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
	}
	flags.Func("subject", "`names` with commas between, of: "+strings.Join(subjectNames(), ", ")+" (default all)", chosen(&o.subjects))
	flags.Func("mode", "`names` with commas between, of: "+strings.Join(modeNames(), ", ")+" (default all)", chosen(&o.modes))
	flags.IntVar(&o.rounds, "rounds", 0, fmt.Sprintf("how often each subject has its turn (default %d, with -quick %d)", roundsDefault, roundsQuick))
	flags.BoolVar(&o.quick, "quick", false, "a short form of everything: for a look, not for figures")
	flags.BoolVar(&o.install, "install", true, "install peers that are absent (Debian, root)")
	flags.BoolVar(&o.write, "write", false, "write tables and plots into "+resultsDir+"; for a full run from the root of the tree")
	flags.StringVar(&o.prefork, "prefork", "", "measure this `binary` instead of one of this tree")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if !isSet(flags, "rounds") {
		o.rounds = roundsDefault
		if o.quick {
			o.rounds = roundsQuick
		}
	}
	return o, o.check(flags.Args())
}

// chosen is a flag that takes some of the names that are in list now, and leaves
// them there.
func chosen(list *[]string) func(string) error {
	known := *list
	return func(text string) error {
		var names []string
		for name := range strings.SplitSeq(text, ",") {
			if !slices.Contains(known, name) {
				return fmt.Errorf("%q is unknown; choose of %s", name, strings.Join(known, ", "))
			}
			names = append(names, name)
		}
		*list = names
		return nil
	}
}

func isSet(flags *flag.FlagSet, name string) bool {
	set := false
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// check returns every problem at once.
func (o options) check(rest []string) error {
	var problems []error
	if len(rest) > 0 {
		problems = append(problems, fmt.Errorf("argument %q: there are only flags; see -h", rest[0]))
	}
	if o.rounds < 1 || o.rounds > roundsMax {
		problems = append(problems, fmt.Errorf("-rounds %d: must be 1 to %d", o.rounds, roundsMax))
	}
	partly := o.quick || len(o.subjects) < len(subjectNames()) || len(o.modes) < len(modeNames())
	if o.write && partly {
		problems = append(problems, errors.New("-write: results are those of a full run; leave out -quick, -subject and -mode"))
	}
	return errors.Join(problems...)
}
