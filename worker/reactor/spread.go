package reactor

// Connections with a message that takes for ever (a stream of events, a WebSocket) stay
// until the deadline of a drain. When all end in one moment, all of their clients come back
// in one: so they end one after the other, over the last part of the drain, evenly.
//
//	drain ────────────────────────────┬── DrainSpread ──┬ deadline
//	what is under way finishes        │ × × × × × × × × │ nothing is left to cut

// Cutter is a Taker whose connections can be cut one by one.
type Cutter interface {
	Taker
	// Busy is the number of taken connections on which something is under way.
	Busy() int
	// CutSome closes so many of those.
	CutSome(n int)
}

// spreadOut is the timer's call: it cuts the share of this tick of what is still under
// way.
func (l *Loop) spreadOut() {
	d := &l.drain
	due := d.spreading.due
	ticks := (d.deadline - due) / int64(wheelTick) // with this one
	if ticks <= 0 {
		return // cutShort comes
	}
	l.wheel.set(&d.spreading, due+int64(wheelTick)) // not from now: that is late, each time
	busy := l.busyConns()
	share := int(ceilDivide(int64(len(busy)), ticks))
	d.cutting = true // for countEnd
	for _, c := range busy[:share] {
		c.close()
	}
	d.cutting = false
	if cutter, ok := l.taker.(Cutter); ok {
		cutter.CutSome(int(ceilDivide(int64(cutter.Busy()), ticks)))
	}
}

// busyConns are the connections that only the deadline would end: idle ones part, or
// wait for an heir. One that was given may be its heir's already.
func (l *Loop) busyConns() (busy []*conn) {
	for c := range l.registry.conns.all() {
		if c.underway() && !c.given {
			busy = append(busy, c)
		}
	}
	return busy
}
