package reactor

import "math"

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
}

// Drain ends the loop gracefully; any goroutine may call it. The listening
// sockets, our own and the siblings', leave the poller, what waits in their
// queues is accepted, then left is called on the loop (nil: nobody to tell). Idle
// connections close, requests under way finish and their answers go out; Run
// returns when the last connection has gone.
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

// Draining says whether a drain has begun: protocols that can say so tell
// their clients that an answer is the last one. On the loop only.
func (l *Loop) Draining() bool { return l.drain.begun }

func (l *Loop) beginDrain(deadline int64, left func()) {
	d := &l.drain
	if left != nil {
		d.left = append(d.left, left)
	}
	if deadline != 0 && (d.deadline == 0 || deadline < d.deadline) {
		d.deadline = deadline
		l.wheel.set(&d.timer, deadline)
	}
	if d.begun {
		return
	}
	d.begun = true
	for _, ls := range l.listeners {
		ls.leave()
	}
}

// goOnDraining is the drain's share of a turn.
func (l *Loop) goOnDraining() {
	if !l.drain.begun {
		return
	}
	l.partIdle()
	if len(l.listeners) == 0 {
		l.tellLeft()
	}
}

// partIdle closes the connections that were idle when the drain began. Those
// that become idle later see to it themselves, see settle.
func (l *Loop) partIdle() {
	conns := &l.registry.conns
	end := min(conns.made, l.drain.looked+partsPerTurnMax)
	for c := range conns.some(l.drain.looked, end) {
		if c.resting() {
			c.part()
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
	l.dropListeners()
	l.closeConns()
	l.tellLeft()
}

// hasDrainWork says that the drain can go on without waiting for anything.
func (l *Loop) hasDrainWork() bool {
	return l.drain.begun && l.drain.looked < l.registry.conns.made
}

// drained says that nothing is left to do.
func (l *Loop) drained() bool {
	return l.drain.begun && len(l.listeners) == 0 && len(l.drain.left) == 0 && l.conns() == 0
}
