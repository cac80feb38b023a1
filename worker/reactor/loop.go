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
	// connsKeptMax bounds the closed connections that wait to be used again.
	connsKeptMax = 1024
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

	again     []Token // connections that ask for a turn without an event
	lastAgain []Token // those of this turn: one list is read while the other grows
	counted   int     // open connections, as last told
	handling  bool    // a handler runs
	refused   error   // why the poller did not take the connection opened last; nil: it did, or was not asked

	input     []byte // where is read to on behalf of connections without a buffer
	output    []byte // where answers gather before they are sent
	buffers   buffers
	freeConns []*conn
}

// New prepares a loop; it accepts nothing yet. The caller calls Run, or Close
// if it never does. Errors: a missing NewHandler, and what the kernel refuses.
func New(config Config) (*Loop, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	clock, err := newClock()
	if err != nil {
		return nil, fmt.Errorf("start loop's clock: %w", err)
	}
	poller := config.Poller
	if poller == nil {
		if poller, err = newEpoll(config.Taker != nil); err != nil {
			return nil, fmt.Errorf("open epoll: %w", err)
		}
	}
	l := &Loop{
		config:   config,
		taker:    config.Taker,
		timeouts: config.timeouts(),
		clock:    clock,
		now:      clock(),
		poller:   poller,
		inbox:    inbox{wake: poller.Wake},
		input:    make([]byte, min(readMax, config.MaxInput)),
		queues:   newQueues(),
	}
	if l.taker == nil {
		l.taker = nobody{}
	}
	l.wheel.start(l.now)
	l.drain.timer.fire = l.cutShort
	if err := l.hangBell(); err != nil {
		return nil, errors.Join(err, poller.Close())
	}
	return l, nil
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

// turn is the reactor: wait, then deal with everything that is due.
func (l *Loop) turn() error {
	n, err := l.poller.Wait(l.ready[:], l.patience())
	if err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	l.now = l.clock()
	l.config.Beat(l.now)

	ready, queued := l.ready[:n], l.takeQueued()
	l.acceptNext(ready) // first: the kernel has woken us for it and nobody else
	l.dispatch(ready)
	l.resume(queued)
	l.wheel.fire(l.now)
	l.runTasks()
	l.emptyLeaving()
	l.goOnDraining()

	l.tellRequeued()
	l.tellConnections()
	return nil
}

// patience is how long the loop may sleep.
func (l *Loop) patience() time.Duration {
	if len(l.again) > 0 || l.hasQueueWork() || l.hasDrainWork() {
		return 0
	}
	return l.wheel.until(l.now, beatEvery)
}

// dispatch hands readiness to its connection. A token that finds none is
// stale: its connection was closed after the kernel had noted the event.
func (l *Loop) dispatch(ready []Token) {
	for _, token := range ready {
		if c := l.registry.conn(token); c != nil {
			c.dispatch()
		}
	}
}

// takeQueued returns the connections that asked for this turn. Those that ask
// from now on get the next one.
func (l *Loop) takeQueued() []Token {
	queued := l.again
	l.again, l.lastAgain = l.lastAgain[:0], queued
	return queued
}

func (l *Loop) resume(queued []Token) {
	for _, token := range queued {
		if c := l.registry.conn(token); c != nil {
			c.resume()
		}
	}
}

func (l *Loop) runTasks() {
	for _, task := range l.inbox.take() {
		task()
	}
}

func (l *Loop) tellConnections() {
	if n := l.conns(); n != l.counted {
		l.counted = n
		l.config.Connections(n)
	}
}

// conns is the number of open connections.
func (l *Loop) conns() int { return l.registry.conns + l.taker.Held() }

func (l *Loop) closeConns() {
	l.taker.CutShort()
	for _, e := range l.registry.entries {
		if e.conn != nil {
			e.conn.close()
		}
	}
}

// newConn and reuseConn are the reuse step for connections.
func (l *Loop) newConn() *conn {
	n := len(l.freeConns)
	if n == 0 {
		c := &conn{loop: l}
		c.timer.fire = c.expire
		return c
	}
	c := l.freeConns[n-1]
	l.freeConns = l.freeConns[:n-1]
	return c
}

func (l *Loop) reuseConn(c *conn) {
	if len(l.freeConns) == connsKeptMax {
		return
	}
	*c = conn{loop: l, fd: -1, timer: Timer{fire: c.timer.fire}}
	l.freeConns = append(l.freeConns, c)
}

func (l *Loop) reuseOutput(out []byte) {
	if cap(out) <= outputKeptMax {
		l.output = out
	}
}
