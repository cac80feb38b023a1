package worker

import (
	"os"
	"os/signal"
	"syscall"
)

// signalsMax bounds the signals that wait to be handled. One is enough to start
// a drain, and the runtime drops what does not fit.
const signalsMax = 4

// drainSignals start a drain: whoever sends one to a worker wants it gone, and
// its clients served.
var drainSignals = []os.Signal{syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT}

// ignoredSignals are the master's to act on, but somebody may send them to all
// processes of the program. SIGPIPE is among them because a Go program dies of
// it when it writes to a stderr that nobody reads any more: that of an orphan.
var ignoredSignals = []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGPIPE}

// catchSignals sets what signals do from now on, and returns the channel of
// those that start a drain. It is never undone: a second signal in the process's
// last moment would kill it, and make an orderly end look like a crash.
func catchSignals() <-chan os.Signal {
	signal.Ignore(ignoredSignals...)
	signalC := make(chan os.Signal, signalsMax)
	signal.Notify(signalC, drainSignals...)
	return signalC
}
