package reactor

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// giver is another worker whose connections we take.
type giver struct {
	pair
	held   []*conn         // taken, and not acknowledged: nothing is read from them
	answer acknowledgement // about them
	owing  bool            // the answer has not gone out yet
	short  bool            // a shortage was reported, and no whole parcel has come since
}

// Take takes the connections that another worker gives: its loop has the other end of
// a pair by Give. fd is the loop's from here on, also when there is an error.
//
// The handlers of those connections are new, and go on where the other worker's were,
// see Portable. A loop that drains takes none.
//
// On the loop only. Errors: os.ErrClosed while draining; fd is not one end of a pair;
// what the kernel refuses.
func (l *Loop) Take(fd int) error {
	g := &giver{}
	err := os.ErrClosed
	if !l.drain.begun {
		err = g.open(l, fd)
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("take connections: %w", err)
	}
	l.givers = append(l.givers, g)
	l.needMailbox()
	return nil
}

// hear reads one parcel, or goes on with the answer to the last one.
func (g *giver) hear() {
	if g.owing {
		g.say()
		return
	}
	data, fds, truncated, err := g.receive(g.loop.mailbox)
	switch err {
	case nil:
		g.take(data, fds, truncated)
	case unix.EAGAIN:
	case io.EOF:
		g.end()
	default:
		g.fail(err)
	}
}

// take takes the first connections of a parcel, up to one that we cannot take, and
// acknowledges them BEFORE anything is read from any: what is not acknowledged was not
// touched, and its giver can go on with it.
func (g *giver) take(data []byte, fds []int, truncated bool) {
	sequence, items, err := parseParcel(data, g.loop.mailbox.items)
	if err == nil && (len(fds) > len(items) || len(fds) < len(items) && !truncated) {
		err = fmt.Errorf("no parcel: %d descriptors for %d connections", len(fds), len(items))
	}
	if err != nil {
		closeAll(fds)
		g.fail(err)
		return
	}
	taken, shortage, err := g.hold(fds, items)
	closeAll(fds[taken:])
	g.answer = acknowledgement{sequence: sequence, taken: taken}
	if shortage == nil && taken < len(items) && err == nil {
		shortage = unix.EMFILE // the kernel has dropped the others (unix(7), MSG_CTRUNC)
	}
	g.complain(shortage, len(items)-taken)
	g.say()
	if err != nil {
		g.fail(err)
	}
}

// hold makes connections of descriptors, and stops at the first of which it cannot. A
// shortage may pass, with an error there is nothing to be done with this giver.
func (g *giver) hold(fds []int, items []item) (taken int, shortage, err error) {
	l := g.loop
	for i, fd := range fds {
		if fd >= l.spare {
			l.crowded = true
			return i, unix.EMFILE, nil
		}
		c, err := l.inherit(fd, items[i])
		if err != nil {
			return i, nil, fmt.Errorf("connection %d of %d: %w", i+1, len(items), err)
		}
		if err := c.watchGiven(); err != nil {
			return i, err, nil
		}
		g.held = append(g.held, c)
	}
	return len(fds), nil, nil
}

// inherit makes a connection of another worker's, which it is still. fd stays the
// caller's if it fails.
func (l *Loop) inherit(fd int, it item) (*conn, error) {
	if err := neverBlock(fd); err != nil {
		return nil, err
	}
	c := l.newConn()
	if l.config.Taker == nil {
		if c.handler == nil {
			c.handler = l.config.NewHandler()
		}
		if err := c.unpack(it.packed); err != nil {
			return nil, err // c is not used again: nobody knows what its handler is like
		}
	}
	c.fd, c.phase, c.given = int32(fd), it.phase, true
	c.deadline = l.now + int64(l.timeouts[it.phase])
	if it.deadline > 0 { // a connection that moves gets no more time than one that stays
		c.deadline = min(c.deadline, it.deadline)
	}
	c.token = l.registry.addConn(c)
	c.keep(it.unread)
	return c, nil
}

// complain reports a shortage once.
func (g *giver) complain(shortage error, left int) {
	if shortage != nil && !g.short {
		g.loop.config.Report(&HandOverError{Left: left, Err: shortage})
	}
	g.short = shortage != nil
}

// say sends the answer, now or when there is room for it. Without a giver the
// connections are not ours.
func (g *giver) say() {
	err := g.transmit(g.answer.encode(), nil)
	if err == nil {
		g.begin()
		return
	}
	later, gone := unsent(err)
	switch {
	case gone:
		g.end()
		return
	case later && !g.owing:
		g.owing = true
		err = g.tellOf(Writable)
	case later:
		err = nil
	}
	if err != nil {
		g.fail(fmt.Errorf("acknowledge: %w", err))
	}
}

// begin begins with what was acknowledged just now.
func (g *giver) begin() {
	held := g.held
	g.held = nil
	if g.owing {
		g.owing = false
		if err := g.tellOf(Readable); err != nil {
			defer g.fail(fmt.Errorf("watch pair: %w", err))
		}
	}
	if len(held) == 0 {
		return
	}
	g.loop.config.Taken(len(held))
	g.loop.tellConnections() // BEFORE a handler can answer a client that then asks
	for _, c := range held {
		c.takeUp()
	}
}

func (g *giver) fail(err error) {
	if g.over {
		return
	}
	g.loop.config.Report(&HandOverError{Err: err})
	g.end()
}

// end is the end of the pair. What we have not acknowledged stays with the giver.
func (g *giver) end() {
	for _, c := range g.held {
		c.forget()
	}
	g.held = nil
	g.close()
}

// watchGiven registers a connection that is another worker's still; what comes is
// noted. If that fails, nothing is left of it but the descriptor.
func (c *conn) watchGiven() error {
	if c.loop.config.Taker != nil {
		return nil
	}
	if err := c.register(input); err != nil {
		c.leave()
		return err
	}
	c.interest = input
	return nil
}

// takeUp goes on with a connection that was another worker's. What that one has read,
// a handler has to see once more.
func (c *conn) takeUp() {
	c.given = false
	if c.loop.config.Taker != nil {
		c.handBack()
		return
	}
	c.loop.wheel.set(&c.timer, roundUp(c.deadline, int64(deadlineGrain)))
	c.more = c.unread() != nil
	if c.more || c.full || c.closing {
		c.queue()
	}
}
