package reactor

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

const (
	// readMax bounds one read, and so what one connection can bring in a turn.
	readMax = 64 << 10
	// messagesPerTurnMax bounds the messages that one connection gets answered
	// in a turn: a pipelining client shall not keep the others waiting.
	messagesPerTurnMax = 32
	// outputPerTurnMax stops a turn early when its answers are this long.
	outputPerTurnMax = 64 << 10
	// outputKeptMax is the largest output buffer that the loop keeps.
	outputKeptMax = 256 << 10
)

// receive reads once and lets the handler work on it. It returns false when there was
// nothing to read, not even an end.
func (c *conn) receive() bool {
	room := c.room()
	n, came := c.fetch(room)
	if n > 0 {
		c.execute(c.received(room, n))
	}
	return came
}

// fetch reads once, and notes whether there may be more, for the next turn. An end, or
// an error, it deals with. It returns the bytes read, and false when there was nothing to
// read, not even an end.
func (c *conn) fetch(room []byte) (n int, came bool) {
	n, err := read(c.fd, room)
	switch {
	case n > 0:
		c.full = n == len(room) || c.closing // a short read is all there was (epoll(7))
	case err == nil:
		c.ended, c.full = true, false
		c.settle()
	case err == unix.EAGAIN:
		c.full = false
		return 0, false
	default: // ECONNRESET, ETIMEDOUT: nobody is there to answer
		c.close()
	}
	return n, true
}

// room is where to read to: the loop's own buffer as long as the connection
// has nothing unread, so that idle connections need none.
func (c *conn) room() []byte {
	in := c.unread()
	if in == nil {
		return c.loop.input
	}
	in = c.loop.buffers.widen(in)
	c.stash.in = in
	end := min(cap(in), c.loop.config.MaxInput, len(in)+readMax)
	return in[len(in):end]
}

// received returns all that is unread, with the n bytes that have come into room.
func (c *conn) received(room []byte, n int) []byte {
	if c.unread() == nil {
		return room[:n]
	}
	c.stash.in = c.stash.in[:len(c.stash.in)+n]
	return c.stash.in
}

// execute lets the handler work through in and sends its answers.
func (c *conn) execute(in []byte) {
	l := c.loop // c may be closed by the time the output goes back
	out := c.handleAll(in, l.output[:0])
	c.reply(out)
	l.reuseOutput(out)
}

// handleAll lets the handler work through in, message by message, and keeps what is
// left. It returns out with the answers.
func (c *conn) handleAll(in, out []byte) []byte {
	c.more, c.loop.current = true, c
	for n := 0; c.more && n < messagesPerTurnMax && len(out) < outputPerTurnMax; n++ {
		var consumed int
		consumed, out = c.handle(in, out)
		in = in[consumed:]
		c.more = consumed > 0 && len(in) > 0 && c.phase < Away
	}
	c.loop.current = nil
	if !c.more && len(in) >= c.loop.config.MaxInput && c.phase != Away {
		c.phase = Close // the handler wants more than it may have
	}
	c.keep(in)
	return out
}

// reply sends the answers of a turn and decides what comes next.
func (c *conn) reply(out []byte) {
	if c.send(out) {
		c.settle()
	}
}

// handle calls the handler and contains its panic: the answers before it are
// still sent, then the connection is closed.
func (c *conn) handle(in, out []byte) (consumed int, output []byte) {
	defer func() {
		if v := recover(); v != nil {
			c.breakDown(v)
			consumed, output = 0, out
		}
	}()
	consumed, output, next := c.handler.Handle(in, out)
	_ = in[consumed:] // a handler that claims the impossible panics here, contained
	if t := c.loop.takeErrand(next); t.errand != nil {
		c.needStash().trip = t
	}
	c.enter(next, consumed)
	return consumed, output
}

// breakDown deals with a handler's panic.
func (c *conn) breakDown(v any) {
	l := c.loop
	l.config.Report(&PanicError{Value: v, Stack: debug.Stack()})
	l.config.Cut(1)
	c.handler = nil // nobody knows what it is like now
	l.errand = trip{}
	c.enter(Close, 0)
}

// send writes what the socket takes and keeps the rest for flush. It returns
// false when the connection is closed because nobody is there to read it.
func (c *conn) send(out []byte) bool {
	if len(out) == 0 {
		return true
	}
	n, err := write(c.fd, out, c.phase == Close)
	if err != nil && err != unix.EAGAIN {
		c.close()
		return false
	}
	if n < len(out) {
		c.keepOutput(out[n:])
		c.extend(c.loop.config.WriteTimeout)
	}
	return true
}

// flush goes on with send. When all is out the connection goes on where it
// stopped, with input that may have been waiting for this.
func (c *conn) flush() {
	s := c.stash
	n, err := write(c.fd, s.out[s.sent:], c.phase == Close)
	if err == unix.EAGAIN {
		return
	}
	if err != nil {
		c.close()
		return
	}
	s.sent += n
	if s.sent < len(s.out) {
		c.extend(c.loop.config.WriteTimeout)
		return
	}
	c.dropOutput()
	c.extend(c.loop.timeouts[c.phase])
	c.settle()
}
