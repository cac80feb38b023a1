package reactor

import (
	"errors"
	"runtime/debug"
)

var errNotPortable = errors.New("something is packed for a handler that is not Portable")

// Portable is a Handler whose conversation can go on in another process, with a
// handler of the same protocol there.
type Portable interface {
	Handler
	// Pack returns what the other handler has to know beside the input that this one
	// has left unread, which travels along: 4 KiB at most, and nothing if a new handler
	// would do. false: not now, the connection stays. It is called in Idle and Header
	// and changes nothing: the conversation goes on here if nobody takes it.
	Pack() (packed []byte, ok bool)
	// Unpack makes a new handler go on where the one was that has packed; it is not
	// called when there was nothing to pack. packed is valid during the call only. An
	// error says that this is nothing that this program has packed; the connection then
	// stays where it is.
	Unpack(packed []byte) error
}

// portable says that the connection can go on in another process.
func (c *conn) portable() bool {
	if c.loop.config.Taker != nil {
		return true // or it had not been offered
	}
	_, ok := c.handler.(Portable)
	return ok
}

// givable says that the connection can go now. What is unread in the socket travels
// with it, what is in our hands by the parcel.
func (c *conn) givable() bool {
	return c.phase <= Header && !c.given && !c.lingering && !c.ended && !c.hasOutput() && len(c.unread()) <= travelMax
}

// pack puts down what the connection is; false: it cannot go now. A panic costs it, as
// one of Handle does.
func (c *conn) pack() (it item, ok bool) {
	if !c.givable() {
		return item{}, false
	}
	it = item{phase: c.phase, deadline: c.deadline, unread: c.unread()}
	if c.loop.config.Taker != nil {
		return it, true
	}
	defer func() {
		if v := recover(); v != nil {
			c.breakDown(v)
			c.finish()
			it, ok = item{}, false
		}
	}()
	it.packed, ok = c.handler.(Portable).Pack()
	return it, ok && len(it.packed) <= packedMax
}

// becomeGiven takes the connection away from the poller and the timer: an heir is asked
// whether it takes it.
func (c *conn) becomeGiven() {
	c.timer.Stop()
	c.unwatch()
	c.given, c.offered = true, false
}

// stay has the connection go on here: it was given, and not taken.
func (c *conn) stay() {
	c.given = false
	switch {
	case c.loop.closing:
	case c.loop.config.Taker != nil:
		c.handBack()
	default:
		c.loop.wheel.set(&c.timer, roundUp(c.deadline, int64(deadlineGrain)))
		c.settle()
	}
}

// offer has the connection given as soon as an heir has room. It goes on here until
// then.
func (c *conn) offer() {
	if !c.offered && c.portable() && c.loop.HeirsTake() {
		c.offered = true
		c.loop.gifts = append(c.loop.gifts, c.token)
	}
}

// withdraw ends an offer in vain.
func (c *conn) withdraw() {
	c.offered = false
	if c.loop.config.Taker != nil {
		c.handBack()
	}
}

// forget lets go of a connection that is another worker's: it stays open.
func (c *conn) forget() {
	c.unwatch()
	closeSocket(c.fd)
	c.leave()
}

// unpack has a new handler go on, and turns its panic into an error: the connection is
// still another worker's.
func (c *conn) unpack(packed []byte) (err error) {
	if len(packed) == 0 {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	p, ok := c.handler.(Portable)
	if !ok {
		return errNotPortable
	}
	return p.Unpack(packed)
}
