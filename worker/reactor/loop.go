package reactor

import (
	"errors"
	"fmt"
	"time"
)

const (
	// eventsPerTurnMax bounds the connections that one turn serves.
	eventsPerTurnMax = 256
	// beatEvery bounds an idle wait, so that the master sees a beat at least
	// once a second.
	beatEvery = 500 * time.Millisecond
)

// Loop is one event loop. The package comment says who may call what.
type Loop struct {
	config   Config
	taker    Taker
	timeouts [Close + 1]time.Duration // by phase

	clock func() int64 // CLOCK_MONOTONIC, ns
	now   int64        // when this turn began

	poller   Poller
	ready    [eventsPerTurnMax]Token
	registry registry
	queues   // what is accepted from
	wheel    wheel
	inbox    inbox
	drain    drain
	estate   // whom connections are given to, and taken from

	again     []Token // connections that ask for a turn without an event
	lastAgain []Token // those of this turn: one list is read while the other grows
	counted   int     // open connections, as last told
	current   *conn   // whose handler runs; nil: none
	errand    trip    // what that handler has given so far
	refused   error   // why the poller did not take the connection opened last; nil: it did, or was not asked

	batch     batch
	input     []byte // where is read to on behalf of connections without a buffer
	output    []byte // where answers gather before they are sent
	buffers   buffers
	freeConns []*conn
	pool      pool
}

// Post has the loop run task once, in the order of the calls; any goroutine
// may call it. It never blocks: ErrFull when too many tasks wait, os.ErrClosed
// when the loop has ended. nil means queued: a loop that ends first drops it.
func (l *Loop) Post(task func()) error { return l.inbox.put(task, tasksMax) }

// After has the loop call f once, in d or up to a tenth of a second later. On
// the loop only.
func (l *Loop) After(d time.Duration, f func()) *Timer {
	t := &Timer{fire: f}
	l.wheel.set(t, l.clock()+int64(d))
	return t
}

// Run turns until a drain is complete (nil) or the poller fails. When it
// returns, every connection is closed and the loop is of no more use.
func (l *Loop) Run() (err error) {
	defer func() { err = errors.Join(err, l.Close()) }()
	l.now = l.clock()
	for {
		if more, err := l.Turn(); !more || err != nil {
			return err
		}
	}
}

// Turn is one turn of Run, for who has something of its own to do after each.
// Once a drain is complete it does nothing and returns false. Then, or after an
// error, call Close.
func (l *Loop) Turn() (more bool, err error) {
	if l.drained() {
		return false, nil
	}
	return true, l.turn()
}

// Close releases a loop that is not run, or not any more, and closes its
// connections. Listening sockets stay open, unless the caller closes a sibling's
// when it is told that it has left.
func (l *Loop) Close() error {
	l.inbox.end()
	l.dropListeners()
	l.closeConns()
	l.tellConnections()
	if err := l.poller.Close(); err != nil {
		return fmt.Errorf("close poller: %w", err)
	}
	return nil
}

func (l *Loop) tellConnections() {
	if n := l.conns(); n != l.counted {
		l.counted = n
		l.config.Connections(n)
	}
}

// conns is the number of open connections.
func (l *Loop) conns() int { return l.registry.conns.used + l.taker.Held() }

// closeConns ends the pairs BEFORE the connections: so it is known whose each is.
func (l *Loop) closeConns() {
	l.closing = true
	l.endPairs()
	l.taker.CutShort()
	for c := range l.registry.conns.all() {
		_ = closeWrite(c.fd) // it may lie unread in the pair of an heir, whoever has that
		c.close()
	}
}
