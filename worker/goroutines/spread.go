package goroutines

import "prefork/worker/reactor"

var _ reactor.Cutter = (*intake)(nil)

// Busy implements reactor.Cutter.
func (in *intake) Busy() int { return len(in.busy()) }

// CutSome implements reactor.Cutter: streams, WebSockets and long requests end one after
// the other in the last part of a drain.
func (in *intake) CutSome(n int) {
	busy := in.busy()
	for _, c := range busy[:min(n, len(busy))] {
		c.becomeOverdue() // BEFORE its end is counted
		_ = c.end()       // its time is over, whatever becomes of the closing
	}
}

// busy are the connections on which something is under way.
func (in *intake) busy() (busy []*conn) {
	for _, c := range in.engine.open() {
		if c.underway() {
			busy = append(busy, c)
		}
	}
	return busy
}

func (c *conn) becomeOverdue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
}

// underway: a request has begun to come, or is answered, or the handler has the
// connection.
func (c *conn) underway() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase != idle && (c.phase != header || c.got > 0)
}
