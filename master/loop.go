package master

import (
	"time"

	"prefork/master/supervise"
)

// eventsMax is how many events may wait for the loop. Whoever brings one more
// waits: a worker that floods its channel slows down itself.
const eventsMax = 256

// effects does what the machine decides. Outcomes come back as events: those
// known at once as the result, the others later on the loop's channel.
type effects interface {
	perform(supervise.Action) []supervise.Event
	// handled comes AFTER the last action of an event. It returns what was found
	// out beside the actions.
	handled(supervise.Event) []supervise.Event
}

// loop is the one goroutine that owns the machine.
type loop struct {
	machine *supervise.Machine
	effects effects
	events  chan supervise.Event
	tasks   chan func()              // questions of other goroutines about what the loop owns
	now     func() supervise.Time    // CLOCK_MONOTONIC
	check   func(*supervise.Machine) // after each Step; nil: not

	outcomes []supervise.Event // handled BEFORE anything else
	done     bool
	end      supervise.Exit
}

// run handles events until the machine says Exit, and returns that.
func (l *loop) run() supervise.Exit {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	l.step(supervise.Started{})
	for !l.done {
		l.rearm(timer)
		select {
		case ev := <-l.events:
			l.step(ev)
		case task := <-l.tasks:
			task()
		case <-timer.C:
			l.step(supervise.Tick{})
		}
	}
	return l.end
}

// step takes one event through the machine, and then its outcomes, until
// nothing more follows at once.
func (l *loop) step(ev supervise.Event) {
	l.outcomes = append(l.outcomes, ev)
	for len(l.outcomes) > 0 && !l.done {
		next := l.outcomes[0]
		l.outcomes = l.outcomes[1:]
		for _, a := range l.machine.Step(l.now(), next) {
			if exit, ok := a.(supervise.Exit); ok {
				l.done, l.end = true, exit
			}
			l.outcomes = append(l.outcomes, l.effects.perform(a)...)
		}
		l.outcomes = append(l.outcomes, l.effects.handled(next)...)
		if l.check != nil {
			l.check(l.machine)
		}
	}
}

// rearm sets the timer to the machine's next deadline; rounded up, or a timer
// that fires a moment early would turn the loop for nothing.
func (l *loop) rearm(timer *time.Timer) {
	wait := time.Hour
	if at, ok := l.machine.NextDeadline(); ok {
		wait = max(0, at-l.now()) + time.Millisecond
	}
	timer.Reset(wait)
}
