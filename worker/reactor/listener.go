package reactor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// acceptsPerEventMax is small because the queue is shared: a sibling that
	// watches the same socket shall find something too, and whoever wakes first
	// would otherwise keep a whole burst of keep-alive connections. What is left
	// makes the level-triggered poller say so again.
	acceptsPerEventMax = 1
	// acceptPause is how long accepting rests when the process or the machine
	// is out of something. Closing connections usually frees it.
	acceptPause = 100 * time.Millisecond
)

// listener is a listening socket in the loop. The descriptor is the caller's.
type listener struct {
	loop    *Loop
	fd      int
	token   Token
	retry   Timer // pending while accepting pauses
	trouble bool  // a pause was reported, and nothing accepted since
	leaving bool  // out of the poller, its queue is being emptied
	owed    int   // while leaving: how many of those that waited then still wait
	gone    bool  // forgotten: emptied, or no listening socket any more
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

// accept takes up to limit connections and returns how the last attempt ended.
func (ls *listener) accept(limit int) acceptClass {
	class, accepted := acceptDone, 0
	for i := 0; i < limit && (class == acceptDone || class == acceptNext); i++ {
		if class = ls.acceptOne(); class == acceptDone {
			accepted++
		}
	}
	if accepted > 0 {
		ls.loop.config.Accepted(accepted)
	}
	return class
}

func (ls *listener) acceptOne() acceptClass {
	fd, err := accept(ls.fd)
	if err == nil {
		err = ls.loop.open(fd)
	}
	class := classifyAccept(err)
	switch class {
	case acceptDone:
		ls.trouble = false
		ls.owed--
	case acceptLater:
		ls.pause(err)
	case acceptNever:
		ls.loop.config.Report(&AcceptError{FD: ls.fd, Err: err})
		ls.drop()
	}
	return class
}

// pause takes the socket out of the poller for a while: out of descriptors it
// would stay readable and keep the loop spinning. Connections wait in the
// queue meanwhile, or siblings take them. One pause after the other is
// reported once.
func (ls *listener) pause(err error) {
	if !ls.trouble {
		ls.trouble = true
		ls.loop.config.Report(&AcceptError{FD: ls.fd, Err: err, Paused: true})
	}
	if !ls.leaving {
		ls.unwatch()
	}
	ls.loop.wheel.set(&ls.retry, ls.loop.now+int64(acceptPause))
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

// leave takes the socket out of the poller. The connections that wait now
// must still be accepted: the kernel may have woken us for them, and then it
// has woken nobody else. Those that come later wake others. The queue is
// first come, first served, so counting is enough; waiting for an empty queue
// might never end while the service is busy.
func (ls *listener) leave() {
	if ls.gone {
		return
	}
	if !ls.paused() {
		ls.unwatch()
	}
	ls.retry.Stop()
	ls.leaving = true
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

// drop forgets the socket.
func (ls *listener) drop() {
	if ls.gone {
		return
	}
	if !ls.paused() && !ls.leaving {
		ls.unwatch()
	}
	ls.retry.Stop()
	ls.loop.registry.remove(ls.token)
	ls.gone = true
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
