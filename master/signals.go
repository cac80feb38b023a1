package master

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"prefork/master/supervise"
)

// signalsMax is how many signals of one kind may wait; the rest of a storm is
// the same signal again.
const signalsMax = 64

var signalNames = map[os.Signal]supervise.Signal{
	unix.SIGHUP:   supervise.SIGHUP,
	unix.SIGINT:   supervise.SIGINT,
	unix.SIGQUIT:  supervise.SIGQUIT,
	unix.SIGTERM:  supervise.SIGTERM,
	unix.SIGTTIN:  supervise.SIGTTIN,
	unix.SIGTTOU:  supervise.SIGTTOU,
	unix.SIGUSR1:  supervise.SIGUSR1,
	unix.SIGUSR2:  supervise.SIGUSR2,
	unix.SIGWINCH: supervise.SIGWINCH,
	// A child has stopped, goes on, or has ended: the Go runtime asks for all of
	// them (no SA_NOCLDSTOP). Who waits for a child by its pidfd is not disturbed.
	unix.SIGCHLD: supervise.SIGCHLD,
}

// childrenEvery is how often news of children are passed on at most. A child can
// have its own children stop it and go on as fast as they like; a bell that rings a
// moment later is early enough.
const childrenEvery = time.Millisecond

// signals turns signals into events.
type signals struct {
	// Each kind has a channel of its own: package signal drops what does not fit
	// into a channel, and a storm of one kind must not drown another.
	received map[supervise.Signal]chan os.Signal
	terminal terminal
}

// catchSignals begins to catch, BEFORE anything is started that a signal would
// leave behind. It never ends: a second SIGTERM must not cut short the goodbye
// of the first one.
func catchSignals() *signals {
	s := &signals{received: map[supervise.Signal]chan os.Signal{}, terminal: findTerminal()}
	for sig, name := range signalNames {
		// A shell starts a background job with SIGINT ignored, so that ^C does
		// not reach it; catching it would undo that.
		if sig == unix.SIGINT && signal.Ignored(sig) {
			continue
		}
		s.received[name] = make(chan os.Signal, signalsMax)
		if sig == unix.SIGCHLD {
			s.received[name] = make(chan os.Signal, 1) // two say no more than one
		}
		signal.Notify(s.received[name], sig)
	}
	signal.Ignore(unix.SIGPIPE)
	return s
}

// pass hands every signal to post until stop is closed, in a goroutine for each
// kind.
func (s *signals) pass(run func(func()), post func(supervise.Event), stop <-chan struct{}) {
	for name, received := range s.received {
		if name == supervise.SIGCHLD {
			run(func() { passChildren(received, post, stop) })
			continue
		}
		run(func() {
			for {
				select {
				case <-received:
					post(supervise.SignalReceived{Signal: name, Terminal: s.terminal.now()})
				case <-stop:
					return
				}
			}
		})
	}
}

// passChildren passes the first news on at once, and what comes right after it
// together.
func passChildren(received <-chan os.Signal, post func(supervise.Event), stop <-chan struct{}) {
	for {
		select {
		case <-received:
			post(supervise.SignalReceived{Signal: supervise.SIGCHLD}) // no terminal sends it
		case <-stop:
			return
		}
		select {
		case <-time.After(childrenEvery):
		case <-stop:
			return
		}
	}
}

// terminal tells how things stood at the start.
type terminal struct {
	had   bool // a controlling terminal
	nohup bool // SIGHUP was ignored, which is how nohup(1) starts a program
}

func findTerminal() terminal {
	return terminal{had: openTerminal() == nil, nohup: signal.Ignored(unix.SIGHUP)}
}

// now tells whether the terminal of the start is still there. Without one at
// the start the question is void: /dev/tty gives ENXIO from the first moment.
// Under nohup the end of the terminal means nothing: it is as if there had never
// been one. As long as it is there it counts, or a window that is resized would
// drain all workers.
func (t terminal) now() supervise.Terminal {
	switch {
	case !t.had:
		return supervise.TerminalNone
	case openTerminal() != syscall.ENXIO:
		return supervise.TerminalHere
	case t.nohup:
		return supervise.TerminalNone
	}
	return supervise.TerminalGone
}

// openTerminal tells by its error whether this process has a controlling
// terminal (tty(4): ENXIO when it has none).
func openTerminal() error {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}
