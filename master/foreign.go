package master

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"prefork/master/config"
	"prefork/master/notify"
	"prefork/master/process"
	"prefork/master/supervise"
)

// complaintsMax bounds how many lines a worker's refused notifications cost, in
// a life: it may send them as fast as it likes.
const complaintsMax = 8

// foreign is the talk with a program that does not speak our protocol: it says what
// it says by sd_notify(3), and is told to leave by a signal.
type foreign struct {
	child    *child
	socket   *notify.Socket
	stop     unix.Signal
	watchdog time.Duration
	ready    config.Ready
	complain func(c *child, reason string) // one line for people
	greeted  *atomic.Bool                  // it does speak our protocol

	// What hear has heard; others read it.
	beats    atomic.Int64
	status   atomic.Pointer[string]
	stopping atomic.Bool

	// The goroutine of hear owns these.
	saidReady, spoke, gaveUp bool
	askedUntil               time.Time
}

// askedStep is by how much a wish for more time must move to be news.
const askedStep = 100 * time.Millisecond

func newForeign(path string, cfg config.Config, complain func(*child, string)) (*foreign, error) {
	socket, err := notify.Open(path)
	if err != nil {
		return nil, err
	}
	return &foreign{
		socket: socket, stop: unix.SignalNum("SIG" + cfg.StopSignal), watchdog: cfg.HangTimeout,
		ready: cfg.Ready, complain: complain,
	}, nil
}

func (f *foreign) furnish(s *process.Spec) {
	s.Notify, s.Watchdog = f.socket.Path(), f.watchdog
}

func (f *foreign) started(c *child) { f.child = c }

func (f *foreign) hear() {
	complaints := 0
	for {
		m, err := f.socket.Receive(f.child.process.PID())
		var rejected *notify.RejectedError
		switch {
		case errors.As(err, &rejected):
			m.Refused = []string{rejected.Error()}
		case err != nil:
			f.lose(err)
			return
		default:
			f.take(m)
		}
		for _, reason := range m.Refused {
			if complaints++; complaints == complaintsMax {
				reason += " (this is the last one that is shown)"
			}
			if complaints <= complaintsMax {
				f.complain(f.child, reason)
			}
		}
	}
}

// lose says that a worker is no longer heard, unless that was the intention.
func (f *foreign) lose(err error) {
	if !errors.Is(err, os.ErrClosed) {
		f.complain(f.child, fmt.Sprintf("its notifications are not heard any more: %v", err))
	}
}

// take turns one notification into events. Only what can change something becomes
// one: a worker that repeats itself does not flood the loop.
func (f *foreign) take(m notify.Message) {
	c := f.child
	if m.HasStatus {
		f.status.Store(&m.Status)
	}
	if m.Watchdog {
		f.beats.Add(1)
	}
	switch {
	case !f.ready.Notify, f.greeted.Load(): // it says by another way when it is ready
	case m.Ready && once(&f.saidReady):
		c.post(supervise.WorkerSaidReady{ID: c.id})
	case !m.Ready && tells(m) && once(&f.spoke):
		c.post(supervise.WorkerSpoke{ID: c.id})
	}
	if until := time.Now().Add(m.Extend); m.Extend > 0 && until.Sub(f.askedUntil) > askedStep {
		f.askedUntil = until
		c.post(supervise.WorkerAskedForTime{ID: c.id, For: m.Extend})
	}
	if m.Stopping {
		f.stopping.Store(true)
		if c.told.CompareAndSwap(false, true) {
			c.post(supervise.WorkerSaidLeaving{ID: c.id, Reason: "it said STOPPING=1"})
		}
	}
	if m.Trigger && once(&f.gaveUp) {
		c.post(supervise.WorkerGaveUp{ID: c.id, Reason: "it said WATCHDOG=trigger"})
	}
}

// tells says whether a notification shows a program that knows how to give its
// word: one that speaks of itself.
func tells(m notify.Message) bool {
	return m.HasStatus || m.Watchdog || m.Extend > 0 || m.Reloading || m.Errno != 0
}

// once is true the first time.
func once(done *bool) bool {
	first := !*done
	*done = true
	return first
}

// drain says nothing to one that already leaves: many programs take a second
// signal for "at once".
func (f *foreign) drain() {
	if !f.stopping.Load() {
		f.child.signal(f.stop)
	}
}

// beat counts the worker's WATCHDOG=1. One that has never said it did not ask to
// be watched.
func (f *foreign) beat() (supervise.Beat, bool, error) {
	n := f.beats.Load()
	return supervise.Beat{ID: f.child.id, Value: n, Rare: true}, n > 0, nil
}

func (f *foreign) said() string {
	if s := f.status.Load(); s != nil {
		return *s
	}
	return ""
}

// mute removes the socket's file, too. What cannot be removed is found at the next
// start.
func (f *foreign) mute() { _ = f.socket.Close() }
