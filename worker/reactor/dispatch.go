package reactor

import (
	"fmt"
	"time"
)

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
	l.handOver()

	l.tellRequeued()
	l.tellConnections()
	return nil
}

// patience is how long the loop may sleep.
func (l *Loop) patience() time.Duration {
	if len(l.again) > 0 || l.hasQueueWork() || l.hasDrainWork() || l.hasHandOverWork() {
		return 0
	}
	return l.wheel.until(l.now, beatEvery)
}

// dispatch hands readiness to its connections, a batch at a time.
func (l *Loop) dispatch(ready []Token) {
	if len(ready) < 2 {
		l.serve(ready)
		return
	}
	for began := l.clock(); len(ready) > 0; {
		n := min(l.batch.width, len(ready))
		l.serve(ready[:n])
		ready = ready[n:]
		now := l.clock()
		l.batch.adapt(time.Duration(now-began), now)
		began = now
	}
}

// noteOther takes down an event that is no connection's: one of a pair, of what has
// been dealt with, or a stale one, of a connection that was closed after the kernel had
// noted it.
func (l *Loop) noteOther(token Token) {
	if p := l.registry.pair(token); p != nil {
		p.heard = true
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
