package reactor

import (
	"math"
	"time"
)

const (
	// partsPerTurnMax bounds how many connections one turn looks at in order
	// to close the idle ones.
	partsPerTurnMax = 256
)

// drain is how far the end of the loop has come.
type drain struct {
	begun    bool
	deadline int64 // CLOCK_MONOTONIC, ns; 0: none
	timer    Timer // cuts short at the deadline
	left     []func()
	looked   int // connections with an index below this have been looked at

	inherited bool // it has or had an heir, see Give
	near      bool // the deadline is: no other heir is waited for
	nearing   Timer
	spreading Timer // see spread.go
	parting   bool  // what Draining said last
	cutting   bool  // the deadline is there
}

// politeTime is how long before its deadline a drain without an heir begins to close
// what it has kept for one.
const politeTime = time.Second

// Drain ends the loop gracefully; any goroutine may call it. The listening
// sockets, our own and the siblings', leave the poller, what waits in their
// queues is accepted, then left is called on the loop (nil: nobody to tell). Idle
// connections go to heirs if there are some, see Give, else they close; requests under
// way finish first, and their answers go out. Run returns when the last connection has
// gone.
//
// At deadline (CLOCK_MONOTONIC, ns; 0: none) whatever is still open is closed
// as it is. A second Drain can bring the deadline nearer, never move it away.
// Each call's left is called once, at the latest before Run returns, unless
// the loop fails or had ended before.
func (l *Loop) Drain(deadline int64, left func()) {
	// A drain is asked for once or twice in a loop's life and must not fail
	// because tasks fill the queue. It can only find the loop ended, and then
	// there is nothing to drain.
	_ = l.inbox.put(func() { l.beginDrain(deadline, left) }, math.MaxInt)
}

// Draining says whether the drain ends connections: protocols that can say so tell
// their clients that an answer is the last one. It does not as long as the connections
// can go on with another worker, or another one may come for them. On the loop only.
func (l *Loop) Draining() bool {
	return l.drain.begun && !l.HeirsTake() && !l.expectsHeirs()
}

func (l *Loop) beginDrain(deadline int64, left func()) {
	d := &l.drain
	if left != nil {
		d.left = append(d.left, left)
	}
	if deadline != 0 && (d.deadline == 0 || deadline < d.deadline) {
		d.deadline = deadline
		l.wheel.set(&d.timer, deadline)
		l.wheel.set(&d.nearing, deadline-int64(politeTime))
		if spread := l.config.DrainSpread; spread > 0 {
			l.wheel.set(&d.spreading, max(l.now, deadline-int64(spread)))
		}
	}
	if d.begun {
		return
	}
	d.begun = true
	l.endGivers()
	for _, ls := range l.listeners {
		ls.leave()
	}
}

// goOnDraining is the drain's share of a turn.
func (l *Loop) goOnDraining() {
	if !l.drain.begun {
		return
	}
	if parting := l.Draining(); parting != l.drain.parting {
		l.drain.parting, l.drain.looked = parting, 0
	}
	l.goOnParting()
	if len(l.listeners) == 0 {
		l.tellLeft()
	}
}

// goOnParting offers connections to the heirs, or closes those that are idle. What
// becomes so later sees to it itself, see settle.
func (l *Loop) goOnParting() {
	conns := &l.registry.conns
	end := min(conns.made, l.drain.looked+partsPerTurnMax)
	for c := range conns.some(l.drain.looked, end) {
		switch {
		case l.config.Taker != nil: // it is offered
		case c.resting() && c.parts():
			c.part()
		default:
			c.offer()
		}
	}
	l.drain.looked = end
}

func (l *Loop) tellLeft() {
	for _, left := range l.drain.left {
		left()
	}
	l.drain.left = nil
}

// cutShort is the deadline's call: what is still open ends now.
func (l *Loop) cutShort() {
	l.drain.cutting = true
	l.dropListeners()
	l.closeConns()
	l.tellLeft()
}

func (l *Loop) comeNear() { l.drain.near = true }

// countEnd counts a connection that a drain closes. One whose client has gone in the
// middle of a message, or was too slow for it, is neither cut nor finished.
func (c *conn) countEnd() {
	config := &c.loop.config
	switch {
	case c.handler == nil: // it has panicked, and was counted
	case !c.underway():
		config.Finished(1)
	case c.loop.drain.cutting:
		config.Cut(1)
	}
}

// underway says that a message is: one that has not come as a whole, has no answer yet,
// or one that has not gone out.
func (c *conn) underway() bool {
	return !c.lingering && (c.phase == Body || c.phase == Away || c.hasOutput() || c.unread() != nil)
}

// hasDrainWork says that the drain can go on without waiting for anything.
func (l *Loop) hasDrainWork() bool {
	return l.drain.begun && l.drain.looked < l.registry.conns.made
}

// drained says that nothing is left to do.
func (l *Loop) drained() bool {
	return l.drain.begun && len(l.listeners) == 0 && len(l.drain.left) == 0 && l.conns() == 0
}
