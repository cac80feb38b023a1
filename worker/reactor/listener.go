package reactor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// acceptPause is how long accepting rests when the process or the machine is out
// of something. Closing connections usually frees it.
const acceptPause = 100 * time.Millisecond

const (
	// acceptsPerTurnMax bounds the connections that share a turn.
	acceptsPerTurnMax = 4
	// cautionMax bounds the turns without a second look after one in vain.
	cautionMax = 31
)

// listener is a listening socket in the loop. The descriptor is the caller's.
type listener struct {
	loop    *Loop
	fd      int
	token   Token
	sibling *sibling // whose socket it is; nil: our own
	served  uint64   // when it was its turn last, by the loop's count of serves
	caution uint8    // how many turns abstain from a second look after one in vain
	abstain uint8    // how many still do
	swept   bool     // the bell has rung and the queue has not been found empty since
	retry   Timer    // pending while accepting pauses
	trouble bool     // it has paused, and nothing was accepted here since
	leaving bool     // out of the poller, its queue is being emptied
	owed    int      // while leaving: how many of those that waited then still wait
	gone    bool     // forgotten: emptied, or no listening socket any more
}

// acceptClass says what to do after an accept(2).
type acceptClass uint8

const (
	acceptDone  acceptClass = iota // a connection
	acceptNext                     // that connection failed: try the next one
	acceptEmpty                    // none is waiting
	acceptLater                    // no descriptors or memory, or unknown: pause
	acceptNever                    // this is no listening socket any more
)

// classifyAccept is the one place that judges errors of accept. "Linux
// accept() passes already-pending network errors on the new socket as an error
// code from accept()" (accept(2)): they say nothing about the listening socket.
func classifyAccept(err error) acceptClass {
	switch err {
	case nil:
		return acceptDone
	case unix.EAGAIN:
		return acceptEmpty
	case unix.EINTR, unix.ECONNABORTED, unix.EPERM, unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP,
		unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENONET, unix.ETIMEDOUT:
		return acceptNext
	case unix.EBADF, unix.EINVAL, unix.ENOTSOCK:
		return acceptNever // shut down by one of its holders, or closed behind our back
	default: // EMFILE, ENFILE, ENOBUFS, ENOMEM and what nobody has thought of
		return acceptLater
	}
}

// serve is the listener's turn: one connection, and further ones as long as each has
// ended with its answer. A sweep of its queue ends when there is none.
func (ls *listener) serve() {
	before := ls.loop.conns()
	class := ls.acceptOne()
	for n := 1; n < acceptsPerTurnMax && class == acceptDone && ls.loop.conns() == before && ls.watched() && ls.hopes(); n++ {
		class = ls.acceptOne()
		ls.learn(class)
	}
	if class == acceptEmpty {
		ls.swept = false
	}
}

// hopes tells whether to look for another connection before the poller is asked. A
// look into an empty queue is wasted, and costs half of what it could save, so each
// one doubles the number of turns without.
func (ls *listener) hopes() bool {
	if ls.abstain > 0 {
		ls.abstain--
		return false
	}
	return true
}

func (ls *listener) learn(class acceptClass) {
	if class == acceptEmpty {
		ls.caution = min(2*ls.caution+1, cautionMax)
	} else {
		ls.caution = 0
	}
	ls.abstain = ls.caution
}

// accept takes up to limit connections and returns how the last attempt ended.
func (ls *listener) accept(limit int) acceptClass {
	class := acceptDone
	for i := 0; i < limit && (class == acceptDone || class == acceptNext); i++ {
		class = ls.acceptOne()
	}
	return class
}

// acceptOne counts the connection BEFORE it is opened, which lets a handler run:
// that may block, or let go of this very socket.
func (ls *listener) acceptOne() acceptClass {
	fd, err := -1, error(unix.EMFILE)
	if ls.leaving || !ls.loop.full(ls.fd) {
		fd, err = accept(ls.fd)
	}
	if err == nil {
		ls.loop.crowded = fd >= ls.loop.spare
		ls.owed--
		ls.count()
		err = ls.loop.open(fd)
	}
	class := classifyAccept(err)
	switch class {
	case acceptDone:
		ls.trouble, ls.loop.short = false, false
	case acceptLater:
		ls.pause(err)
	case acceptNever:
		if ls.sibling == nil { // a sibling's slot may close at any time
			ls.loop.config.Report(&AcceptError{FD: ls.fd, Err: err})
		}
		ls.drop()
	}
	return class
}

func (ls *listener) count() {
	ls.loop.config.Accepted(1)
	if ls.sibling != nil {
		ls.loop.config.Helped(1)
	}
}

// pause takes the socket out of the poller for a while: out of descriptors it
// would stay readable and keep the loop spinning. Connections wait in the
// queue meanwhile, or siblings take them. One pause after the other is
// reported once, and so is one shortage that all sockets meet.
func (ls *listener) pause(err error) {
	if ls.gone { // a handler of the connection just accepted has let go of it
		return
	}
	l := ls.loop
	if !ls.trouble && !l.short {
		l.short = true
		l.config.Report(&AcceptError{FD: ls.fd, Err: err, Paused: true})
	}
	ls.trouble, ls.swept = true, false
	if !ls.leaving {
		ls.unwatch()
		ls.displace()
	}
	l.wheel.set(&ls.retry, l.now+int64(acceptPause))
}

// displace notes that a socket of our own comes back at the end of the line.
func (ls *listener) displace() {
	if ls.sibling == nil {
		ls.loop.displaced = ls.loop.now
	}
}

// resume ends a pause. The socket goes back into the poller, which says at
// once what has come meanwhile; a leaving one is tried in the next turn.
func (ls *listener) resume() {
	if ls.leaving {
		return
	}
	if err := ls.watch(); err != nil {
		ls.pause(err)
	}
}

func (ls *listener) paused() bool { return ls.retry.pending() }

// watched says that the socket is in the poller.
func (ls *listener) watched() bool { return !ls.gone && !ls.leaving && !ls.paused() }

// leave takes the socket out of the poller. The connections that wait now
// must still be accepted: the kernel may have woken us for them, and then it
// has woken nobody else. Those that come later wake others. The queue is
// first come, first served, so counting is enough; waiting for an empty queue
// might never end while the service is busy.
func (ls *listener) leave() {
	if ls.gone || ls.leaving {
		return
	}
	if ls.watched() {
		ls.unwatch()
	}
	ls.retry.Stop()
	ls.leaving = true
	ls.loop.unsettled = true
	length, err := queueLength(ls.fd)
	if err != nil {
		length = leaveAcceptsMax // not TCP: until it is empty, within reason
	}
	ls.owed = length
}

// empty goes on emptying the queue of a leaving socket; true: it is empty.
func (ls *listener) empty(limit int) bool {
	if ls.gone || ls.paused() {
		return ls.gone
	}
	switch ls.accept(min(limit, max(ls.owed, 1))) {
	case acceptEmpty, acceptNever:
		return true
	case acceptLater:
		return false
	default:
		return ls.owed <= 0
	}
}

// drop forgets the socket. It leaves the poller BEFORE its sibling hears of it,
// who may let the caller close it.
func (ls *listener) drop() {
	if ls.gone {
		return
	}
	if ls.watched() {
		ls.unwatch()
	}
	ls.retry.Stop()
	ls.loop.registry.removeListener(ls.token)
	ls.gone, ls.swept = true, false
	ls.loop.unsettled = true
	if ls.sibling != nil {
		ls.sibling.lose()
	}
}

func (ls *listener) watch() error {
	if err := ls.loop.poller.Add(ls.fd, ls.token, Readable|Exclusive); err != nil {
		return fmt.Errorf("watch listening fd %d: %w", ls.fd, err)
	}
	return nil
}

// unwatch can fail only if the caller has closed the descriptor, which the
// next accept finds out.
func (ls *listener) unwatch() { _ = ls.loop.poller.Remove(ls.fd) }
