package goroutines

import (
	"errors"
	"net"
)

// errDrained is what Accept returns at the end of a drain.
var errDrained = errors.New("goroutines: drained")

// intake is where connections come in: the loop's Taker, and the net.Listener of
// net/http. All of it runs on the goroutine of Run.
type intake struct {
	engine  *Engine
	waiting []*conn // taken, not yet handed to net/http; one turn's worth at most
}

// Accept turns the loop until a connection is there.
func (in *intake) Accept() (net.Conn, error) {
	for len(in.waiting) == 0 {
		in.engine.awaitReaders()
		in.engine.offer()
		more, err := in.engine.loop.Turn()
		in.engine.follow()
		if err != nil {
			return nil, err
		}
		if !more {
			return nil, errDrained
		}
	}
	c := in.waiting[0]
	in.waiting[0] = nil // let go of it
	in.waiting = in.waiting[1:]
	if in.engine.tls != nil {
		return in.engine.secure(c), nil
	}
	return c, nil
}

// Close is net/http's, at the end of Serve. What it would close is the caller's.
func (in *intake) Close() error { return nil }

// Addr is part of net.Listener; there may be any number of sockets behind it.
func (in *intake) Addr() net.Addr { return &net.UnixAddr{Name: "prefork", Net: "intake"} }

// Take implements reactor.Taker.
func (in *intake) Take(fd int) { in.add(newConn(in.engine, fd)) }

// TakeOver implements reactor.Taker.
func (in *intake) TakeOver(fd int, unread []byte) {
	in.engine.retry()
	in.add(in.engine.takeOver(fd, unread))
}

func (in *intake) add(c *conn) {
	in.engine.add(c)
	in.waiting = append(in.waiting, c)
}

// Held implements reactor.Taker.
func (in *intake) Held() int {
	in.engine.mu.Lock()
	defer in.engine.mu.Unlock()
	return len(in.engine.conns) + len(in.engine.detached)
}

// CutShort implements reactor.Taker.
func (in *intake) CutShort() {
	in.engine.cutting.Store(true)
	for _, c := range in.engine.open() {
		_ = c.end() // as good as it gets: this is the end
	}
	in.engine.endGiving()
}
