package reactor

import (
	"fmt"
	"slices"
)

const (
	// leaveAcceptsPerTurnMax bounds how many of the connections that wait when
	// a listening socket leaves the loop are accepted in one turn.
	leaveAcceptsPerTurnMax = 64
	// leaveAcceptsMax bounds them all where the length of the queue cannot be
	// read: the usual net.core.somaxconn (4096 since Linux 5.4).
	leaveAcceptsMax = 4096
	// requeuedAfter is how long after the last pause Requeued is called.
	requeuedAfter = 5 * acceptPause
)

// queues is what a loop accepts from.
type queues struct {
	listeners []*listener      // our own and the siblings'
	siblings  map[int]*sibling // by the caller's numbers
	unsettled bool             // some of listeners are leaving, or gone
	serves    uint64           // how often a listener had its turn
	short     bool             // a shortage was reported, and nothing accepted since
	displaced int64            // when a socket of our own last lost its place in the line; 0: told, or never
	crowded   bool             // the last connection's descriptor was among the spare ones
	spare     int              // the lowest of the descriptors that are left free
	sweeping  bool             // some of listeners are swept
}

// bellToken is the bell's registration. No entry of the registry has this token:
// there would have to be four billion.
const bellToken = TokenMax

func newQueues() queues {
	return queues{siblings: map[int]*sibling{}, spare: spareDescriptor()}
}

// acceptNext gives one queue its turn, whatever their number, and that ends with the
// first connection that stays open (see serve): a handler that blocks then has one
// client in its hands that it has not begun to serve, while the others wait where
// siblings find them. Whoever wakes first would otherwise keep a whole burst of
// keep-alive connections, too.
//
// It is the turn of the queue that was served longest ago, so neither a busy queue
// of our own nor that of a hung sibling starves the other. What is left makes the
// level-triggered poller say so again.
func (l *Loop) acceptNext(ready []Token) {
	var next *listener
	for _, token := range ready {
		if token == bellToken {
			l.hearBell()
		} else if ls := l.registry.listener(token); ls != nil {
			next = servedEarlier(next, ls)
		}
	}
	if l.sweeping {
		next = servedEarlier(next, l.nextSwept())
	}
	if next != nil {
		l.serves++
		next.served = l.serves
		next.serve()
	}
}

func servedEarlier(a, b *listener) *listener {
	if a == nil || b != nil && b.served < a.served {
		return b
	}
	return a
}

// hangBell has the poller listen to the bell. What rang before is heard at once,
// and finds nothing to sweep.
func (l *Loop) hangBell() error {
	if l.config.Bell == 0 {
		return nil
	}
	if err := l.poller.Add(l.config.Bell, bellToken, Readable|Edge); err != nil {
		return fmt.Errorf("watch bell: %w", err)
	}
	return nil
}

// hearBell begins a sweep: from now on the loop does not sleep before it has found
// every queue empty once. An exclusive wake-up is spent on one sleeper, and if that
// one is stopped or killed before it accepts, the poller says nothing to anybody
// else: only a look into the queue finds the connection. A pausing socket is not
// swept; the end of its pause shows what waits.
func (l *Loop) hearBell() {
	for _, ls := range l.listeners {
		ls.swept = ls.watched()
	}
	l.sweeping = true
}

// nextSwept ends the sweep when there is nothing left to look into.
func (l *Loop) nextSwept() (next *listener) {
	for _, ls := range l.listeners {
		if ls.swept {
			next = servedEarlier(next, ls)
		}
	}
	l.sweeping = next != nil
	return next
}

// emptyLeaving goes on emptying the sockets that leave the loop, and forgets
// those that have gone.
func (l *Loop) emptyLeaving() {
	if !l.unsettled {
		return
	}
	for _, ls := range l.listeners {
		if ls.leaving && ls.empty(leaveAcceptsPerTurnMax) {
			ls.drop()
		}
	}
	l.listeners = slices.DeleteFunc(l.listeners, func(ls *listener) bool { return ls.gone })
	l.unsettled = slices.ContainsFunc(l.listeners, func(ls *listener) bool { return ls.leaving })
}

// dropListeners forgets them all as they are.
func (l *Loop) dropListeners() {
	for _, ls := range l.listeners {
		ls.drop()
	}
	l.listeners = nil
}

// tellRequeued waits until no pause has come for a while: they come one after the
// other, and siblings cannot step back for each.
func (l *Loop) tellRequeued() {
	if l.displaced == 0 || l.now-l.displaced < int64(requeuedAfter) {
		return
	}
	l.displaced = 0
	l.config.Requeued()
}

// hasQueueWork says that there is something to accept or to look into that the
// poller does not know of.
func (l *Loop) hasQueueWork() bool {
	return l.sweeping || l.unsettled && slices.ContainsFunc(l.listeners, func(ls *listener) bool {
		return ls.leaving && !ls.paused()
	})
}
