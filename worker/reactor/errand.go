package reactor

import (
	"errors"
	"math"
	"runtime/debug"
)

// Errand is work that a handler has done away from the loop, while its connection
// waits: a long computation, a read that may block, a body that is too long to be
// held in memory. It runs on a goroutine that is not the loop's, so whatever it
// shares with the handler it must own meanwhile.
type Errand func(*Lent) Result

// Result is how an errand ends.
type Result struct {
	// Answer is sent to the client. The loop's from here on.
	Answer []byte
	// Rest is input that the errand was given, or has read, and leaves to the
	// handler: the beginning of the next message. The loop copies it.
	Rest []byte
	// Next is the phase that the connection is in now: Idle or Close.
	Next Phase
}

// Lend sends the connection whose handler runs on an errand: as soon as the answers
// so far are out, errand is called on a goroutine of its own. The handler answers
// Away, having consumed its message or what there is of it. The loop does not touch
// the connection before errand has returned, and none of its timeouts applies: the
// errand sets its own, see Lent.Conn. If the connection must be closed meanwhile,
// whatever the errand does with it fails.
//
// An errand is always called: one whose connection is closed before it could begin
// finds that there is none. A panic of the errand costs the connection, as one of the
// handler does. On the loop only, within Handle.
func (l *Loop) Lend(errand Errand) { l.errand = trip{errand: errand} }

// Compute is Lend for work that occupies a CPU: Config.PoolSize of them run at a
// time, the others wait in the order in which they came.
func (l *Loop) Compute(errand Errand) { l.errand = trip{errand: errand, pooled: true} }

// trip is an errand that has not begun.
type trip struct {
	errand Errand // nil: none
	pooled bool
}

var errNoErrand = errors.New("reactor: a handler answered Away without Lend or Compute")

// takeErrand returns what the handler that has just answered next gave, if it has
// said so.
func (l *Loop) takeErrand(next Phase) trip {
	t := l.errand
	l.errand = trip{}
	if next != Away {
		return trip{}
	}
	if t.errand == nil {
		panic(errNoErrand) // contained, see handle
	}
	return t
}

// depart lets the connection go on its errand. It leaves the poller: a client that
// hangs up would be reported for as long as nobody reads.
func (c *conn) depart() {
	l, t := c.loop, c.stash.trip
	if t.errand == nil {
		return // it is away
	}
	c.timer.Stop()
	c.unwatch()
	lent := &Lent{fd: c.fd, spare: l.spare, unread: append([]byte(nil), c.stash.in...)}
	c.stash.trip, c.stash.lent = trip{}, lent
	c.dropInput()

	token := c.token
	run := func() {
		result := Result{Next: Close} // if the errand ends its goroutine
		// It can only find that the loop has ended, and then nobody waits.
		defer func() { _ = l.inbox.put(func() { l.welcome(token, result) }, math.MaxInt) }()
		result = l.carryOut(t.errand, lent)
	}
	if t.pooled {
		l.pool.put(run)
	} else {
		go run()
	}
}

// carryOut runs on the errand's goroutine, and contains its panic.
func (l *Loop) carryOut(errand Errand, lent *Lent) (result Result) {
	defer lent.giveBack()
	defer func() {
		if v := recover(); v != nil {
			failure := &PanicError{Value: v, Stack: debug.Stack()}
			_ = l.inbox.put(func() {
				l.config.Report(failure)
				l.config.Cut(1)
			}, math.MaxInt)
			result = Result{Next: Close}
		}
	}()
	return errand(lent)
}

// welcome takes a connection back, unless it was closed meanwhile.
func (l *Loop) welcome(token Token, r Result) {
	c := l.registry.conn(token)
	if c == nil {
		return
	}
	c.stash.lent = nil
	c.tidy()
	if r.Next != Idle {
		r.Next = Close
	}
	c.enter(r.Next, len(r.Rest)+1)
	c.keep(r.Rest)
	c.more, c.full = len(r.Rest) > 0 && r.Next != Close, c.full || r.Next == Close
	if c.send(r.Answer) {
		c.settle()
	}
}
