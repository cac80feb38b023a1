package reactor

import (
	"errors"
	"fmt"
)

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
		batch:    newBatch(),
		pool:     pool{size: config.PoolSize},
	}
	if l.taker == nil {
		l.taker = nobody{}
	}
	l.wheel.start(l.now)
	l.drain.timer.fire, l.drain.nearing.fire, l.drain.spreading.fire = l.cutShort, l.comeNear, l.spreadOut
	if err := l.hangBell(); err != nil {
		return nil, errors.Join(err, poller.Close())
	}
	return l, nil
}
