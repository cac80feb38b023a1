package goroutines

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// retryPause is how long connections stay that no heir has taken, until they are
// offered again.
const retryPause = 100 * time.Millisecond

// errTLS is why an engine with TLS gives and takes nothing.
var errTLS = errors.New("a connection with TLS cannot go on in another process: its keys are in this one")

// estate is what an engine has to do with the workers that it gives connections to.
type estate struct {
	// parting says that a drain ends connections: nobody takes them. epoch is not 0
	// while a drain gives them away: each is offered once in an epoch. Both are set on
	// the loop, BEFORE rests are interrupted.
	parting atomic.Bool
	epoch   atomic.Uint64
	cutting atomic.Bool // the deadline is there

	// These belong to the loop.
	epochs   uint64 // how many there have been
	renewed  bool   // another one is due: heirs may take by now what they did not
	retrying bool   // renewed is going to be set

	// These belong to Engine.mu.
	detached []int // descriptors on their way from a connection to the loop
	closed   bool  // the loop takes none any more
}

// Give hands connections over to another worker, as reactor.Loop.Give does: those that
// rest, and while this engine drains the others when they come to rest. fd is the
// engine's from here on, also when there is an error, which with TLS is always. Call it
// before Run or by Post.
func (e *Engine) Give(fd, count int) error {
	if err := e.refuseTLS(fd); err != nil {
		return err
	}
	if err := e.loop.Give(fd, count); err != nil {
		return err
	}
	for _, c := range e.open() {
		if count > 0 && c.choose() {
			count--
		}
	}
	return nil
}

// Take takes the connections that another worker gives, as reactor.Loop.Take does. fd
// is the engine's from here on, also when there is an error, which with TLS is always.
// Call it before Run or by Post.
func (e *Engine) Take(fd int) error {
	if err := e.refuseTLS(fd); err != nil {
		return err
	}
	return e.loop.Take(fd)
}

func (e *Engine) refuseTLS(fd int) error {
	if e.tls == nil {
		return nil
	}
	unix.Close(fd)
	return errTLS
}

// follow acts on what the last turn of the loop has come to: a drain may end
// connections, give them away, or neither for a while.
func (e *Engine) follow() {
	if !e.draining.Load() {
		return
	}
	parting, epoch := e.loop.Draining(), uint64(0)
	if e.loop.HeirsTake() {
		epoch = e.epoch.Load()
		if epoch == 0 || e.renewed {
			e.epochs++
			epoch, e.renewed = e.epochs, false
		}
	}
	wereParting, before := e.parting.Swap(parting), e.epoch.Swap(epoch)
	if !(parting && !wereParting) && (epoch == 0 || epoch == before) {
		return
	}
	for _, c := range e.open() {
		c.interruptRest()
		if parting {
			c.goAway()
		}
	}
}

// retry has connections offered again that came back.
func (e *Engine) retry() {
	if e.retrying || !e.draining.Load() {
		return
	}
	e.retrying = true
	e.loop.After(retryPause, func() { e.retrying, e.renewed = false, true })
}

// takeOver makes a conn of another worker's connection, or of one that no heir has
// taken.
func (e *Engine) takeOver(fd int, unread []byte) *conn {
	c := newConn(e, fd)
	c.offered = e.epoch.Load()
	if len(unread) == 0 { // it rests
		c.phase, c.fresh = idle, true
		return c
	}
	c.leftover = &leftover{File: c.file, unread: unread}
	c.stream = c.leftover
	return c
}

// leftover is the stream of a connection from which another worker has read ahead.
type leftover struct {
	*os.File
	unread []byte
}

func (l *leftover) Read(p []byte) (int, error) {
	if !l.isLeft() {
		return l.File.Read(p)
	}
	n := copy(p, l.unread)
	l.unread = l.unread[n:]
	if len(l.unread) == 0 {
		l.unread = nil // let go of it
	}
	return n, nil
}

func (l *leftover) isLeft() bool { return l != nil && len(l.unread) > 0 }

// choose has a connection offered that rests now.
func (c *conn) choose() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.resting || c.chosen {
		return false
	}
	c.chosen = true
	c.interrupt()
	return true
}

// shallGo says that a connection that rests is to be offered to an heir.
func (c *conn) shallGo() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch := c.engine.epoch.Load()
	shall := c.chosen || epoch != 0 && epoch != c.offered
	c.chosen, c.offered = false, epoch
	return shall
}

// give offers a connection that rests to the heirs, and leaves nothing to net/http. It
// is false if it stays, for want of a descriptor, or has been closed meanwhile.
//
// The heirs get a copy: package os gives no descriptor back. One connection at a time,
// so that one free number is enough for all of them.
func (c *conn) give() bool {
	c.engine.giving.Lock()
	defer c.engine.giving.Unlock()
	fd, err := c.duplicate()
	if err != nil {
		_ = c.engine.loop.Post(c.engine.retry) // if that fails, the next heir gets it
		return false
	}
	if !c.closed.CompareAndSwap(false, true) {
		unix.Close(fd)
		return false
	}
	_ = c.file.Close() // also takes it out of Go's poller, which would follow the copy
	c.engine.detach(c, fd)
	return true
}

func (c *conn) duplicate() (fd int, err error) {
	if rawErr := c.raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); rawErr != nil {
		return -1, rawErr
	}
	return fd, os.NewSyscallError("fcntl", err)
}

// detach takes a connection's descriptor for the loop, which it wakes.
func (e *Engine) detach(c *conn, fd int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
	if e.closed {
		unix.Close(fd)
		return
	}
	e.detached = append(e.detached, fd)
	if len(e.detached) == 1 {
		_ = e.loop.Post(func() {}) // if it is full it is awake
	}
}

// offer gives the loop what was detached. It comes BEFORE a turn, which sends it.
func (e *Engine) offer() {
	e.mu.Lock()
	detached := e.detached
	e.detached = nil
	e.mu.Unlock()
	for _, fd := range detached {
		e.loop.Offer(fd, nil)
	}
}

// endGiving closes what the loop does not get any more.
func (e *Engine) endGiving() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, fd := range e.detached {
		unix.Close(fd)
	}
	e.detached, e.closed = nil, true
}
