package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"prefork/bench/load"
)

const (
	exitDone  = 0 // every request was answered
	exitLost  = 1 // at least one was not
	exitUsage = 2
)

// run is the command as a function of its arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, asJSON, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	report, err := load.Run(ctx, cfg)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	if err := write(stdout, report, asJSON); err != nil {
		fmt.Fprintf(stderr, "write report: %v\n", err)
		return exitLost
	}
	if report.Lost() > 0 {
		return exitLost
	}
	return exitDone
}

func parse(args []string, stderr io.Writer) (cfg load.Config, asJSON bool, err error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints the error, once
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: load [flags] IP:PORT (a loopback address)")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
	}
	mode := flags.String("mode", string(load.NewConnection), "`new` connection for each request, or keepalive")
	flags.IntVar(&cfg.Rate, "rate", 1000, "requests a second; 0: a closed loop, each client asks again when it has its answer")
	flags.DurationVar(&cfg.Duration, "duration", 10*time.Second, "how long requests become due")
	flags.DurationVar(&cfg.Timeout, "timeout", 10*time.Second, "from the moment a request is due to the end of its answer")
	flags.IntVar(&cfg.Clients, "clients", 16, "connections of mode keepalive, or of a closed loop")
	flags.StringVar(&cfg.Path, "path", "/", "path of the request")
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON")
	if err := flags.Parse(args); err != nil {
		return load.Config{}, false, err
	}
	if flags.NArg() != 1 {
		return load.Config{}, false, fmt.Errorf("%d addresses given: give one, such as 127.0.0.1:8080", flags.NArg())
	}
	cfg.Mode, cfg.Addr, cfg.Closed = load.Mode(*mode), flags.Arg(0), cfg.Rate == 0
	return cfg, asJSON, nil
}

func write(stdout io.Writer, report load.Report, asJSON bool) error {
	if !asJSON {
		_, err := io.WriteString(stdout, report.String())
		return err
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
