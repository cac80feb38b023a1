package worker

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Arg is the first argument that makes the binary a built-in worker.
const Arg = "built-in-worker"

// procs is GOMAXPROCS: one for the loop, which keeps it while there is work (see
// package reactor), one for everything else. The default would be all CPUs of the
// machine, times the number of workers.
const procs = 2

// Main lives the life of a built-in worker and returns its exit code: 0 for an
// orderly end, else 1 after one line on stderr. Call it first thing in a
// process of its own: it takes over signals, GOMAXPROCS and descriptors.
func Main() int {
	nameProcess()
	runtime.GOMAXPROCS(procs)
	if err := live(); err != nil {
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

// live catches signals BEFORE it says hello: once the master knows about a
// worker, a signal drains that worker and does not kill it.
func live() error {
	signalC := catchSignals()
	inherited, err := inherit()
	if err != nil {
		return err
	}
	l := newLife(inherited, signalC)
	defer l.end()
	return l.run()
}
