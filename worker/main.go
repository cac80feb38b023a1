package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"prefork/ipc"
)

// Arg is the first argument that makes a binary the worker of a master which runs
// the same binary.
const Arg = "built-in-worker"

// procs is GOMAXPROCS: one for the loop, which keeps it while there is work (see
// package reactor), one for everything else. The default would be all CPUs of the
// machine, times the number of workers.
const procs = 2

// exitAlone is the exit code of a program that somebody has started by hand.
const exitAlone = 2

// Main makes this process a worker of the master that has started it, and exits
// with it: with 0 after an orderly end, with 1 after one line on stderr. Call it
// first thing in func main; it takes over signals, descriptors and GOMAXPROCS, and
// does not return. Without a master it says in one line how to start the program,
// and exits with 2.
//
// serve prepares what the program needs and then calls one of the worker's three
// ways to serve. The package comment says when it is called, and what its result means.
func Main(serve func(*Worker) error) {
	if _, set := os.LookupEnv(ipc.EnvFD); !set {
		fmt.Fprintf(os.Stderr, "%s: there is no master, and this program is a worker: start it by: prefork run -- %s\n",
			filepath.Base(os.Args[0]), strings.Join(os.Args, " "))
		os.Exit(exitAlone)
	}
	os.Exit(live(serve))
}

// Live is Main for the worker of a master that runs the same binary: it shows in
// process lists as a worker, and returns the exit code.
func Live(serve func(*Worker) error) int {
	nameProcess()
	return live(serve)
}

// live catches signals BEFORE it says hello: once the master knows about a
// worker, a signal drains that worker and does not kill it.
func live(serve func(*Worker) error) int {
	runtime.GOMAXPROCS(procs)
	signalC := catchSignals()
	inherited, err := inherit()
	if err == nil {
		l := newLife(inherited, signalC, serve)
		err = l.run()
		l.end()
	}
	if err != nil {
		report(err)
		return 1
	}
	return 0
}

// report writes one line to stderr, which the master reads and passes on.
func report(err error) {
	fmt.Fprint(os.Stderr, reportLine(err))
}

// reportLine keeps joined errors together: the master tags each line by itself.
func reportLine(err error) string {
	return "prefork worker: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "\n"
}
