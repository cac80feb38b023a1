package goroutines

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// errHeaderTooLarge ends reading after conn has answered 431.
var errHeaderTooLarge = errors.New("request header too large")

// Read implements net.Conn. What net/http wants to read follows from the phase and
// from the room that its buffer has left.
func (c *conn) Read(p []byte) (n int, err error) {
	c.begin()
	if c.http2 { // net/http waits here for a first request, which it will not see
		c.multiplex()
		return 0, io.EOF
	}
	what := c.beginRead(len(p))
	switch what {
	case idle:
		n, err = c.rest(p)
	case header:
		n, err = c.readHeader(p)
	default:
		n, err = c.stream.Read(p)
	}
	if err != nil {
		c.noteEnd(what, err)
	}
	return n, c.failed("read", err)
}

// noteEnd: net/http would take what it has for a whole line, and answer that it
// does not understand it.
func (c *conn) noteEnd(what phase, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if what != busy {
		c.mute = true
	}
	if err != errHeaderTooLarge && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.ended = true
	}
}

// beginRead answers what is read: idle, the first bytes of a next request; header,
// (more of) one that has begun; or else something that is the handler's business.
//
// net/http reads ahead, and before it has four bytes of a request only the
// room in its buffer tells: it moves what it has to the buffer's beginning before
// it reads, so a connection whose next request has begun in the segment of the
// last one offers less than all of it. A read of one byte is the one that net/http
// keeps waiting while a handler runs.
func (c *conn) beginRead(room int) phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	if room <= 1 || c.phase == busy || c.phase == hijacked {
		return busy
	}
	c.room = max(c.room, room)
	ahead := c.room - room
	if c.phase == idle && ahead == 0 {
		c.resting = true
		if c.fresh { // net/http awaits a first request, for less long
			c.restBy = time.Now().Add(c.engine.config.IdleTimeout)
			_ = c.file.SetReadDeadline(c.restBy) // fails with the next read as well
		}
		return idle
	}
	if c.phase == idle {
		c.phase = header
		// For net/http the wait for a request goes on, which may last longer.
		_ = c.file.SetReadDeadline(c.headerDeadline()) // fails with the next read as well
	}
	c.got = max(c.got, ahead)
	return header
}

func (c *conn) headerDeadline() time.Time { return time.Now().Add(c.engine.config.HeaderTimeout) }

// readHeader gives net/http no more than the limit allows. If that does not hold
// the whole header, net/http comes again.
func (c *conn) readHeader(p []byte) (int, error) {
	c.mu.Lock()
	left, mute := c.engine.config.MaxHeader-c.got, c.mute
	c.mu.Unlock()
	if left <= 0 && !mute {
		c.refuseHeader()
	}
	if left <= 0 {
		return 0, errHeaderTooLarge
	}
	n, err := c.stream.Read(p[:min(len(p), left)])
	c.mu.Lock()
	c.got += n
	c.mu.Unlock()
	return n, err
}

// refuseHeader answers in net/http's place, which has no request to answer yet.
func (c *conn) refuseHeader() {
	const status = http.StatusRequestHeaderFieldsTooLarge
	e := c.engine
	text := fmt.Sprintf("request header too large: the limit is %d bytes\n", e.config.MaxHeader)
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n",
		status, http.StatusText(status), len(text))
	if e.config.Identity != "" {
		head += identityHeader + ": " + e.config.Identity + "\r\n"
	}
	e.answered()
	_, _ = io.WriteString(c, head+"\r\n"+text) // the connection ends anyway
}

// rest waits for the next request. A drain ends the rest or has the connection handed
// over, and the idle timeout ends it; a request that comes in the same moment is served,
// here or by the heir.
func (c *conn) rest(p []byte) (int, error) {
	p = p[:min(len(p), c.engine.config.MaxHeader)]
	for {
		// AFTER resting was set, or an interruption taken note of: what changes from
		// here on interrupts.
		whole := !c.leftover.isLeft()
		if whole && c.shallGo() && c.give() {
			return 0, io.EOF
		}
		if whole && c.engine.parting.Load() {
			break
		}
		n, err := c.stream.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			c.endRest(n)
			return n, err
		}
		if !c.goOnResting() {
			break
		}
	}
	c.endRest(0)
	return c.part(p)
}

// goOnResting is false when it was not an interruption that has ended the wait.
func (c *conn) goOnResting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pending {
		return false
	}
	c.pending = false
	_ = c.file.SetReadDeadline(c.restBy) // fails with the next read as well
	return true
}

func (c *conn) endRest(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resting, c.pending, c.chosen, c.got = false, false, false, n
	if c.fresh && n > 0 {
		c.phase, c.fresh = header, false
		_ = c.file.SetReadDeadline(c.headerDeadline()) // fails with the next read as well
	}
}

// interruptRest makes a rest look around, if there is one.
func (c *conn) interruptRest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resting {
		c.interrupt()
	}
}

func (c *conn) interrupt() {
	c.pending = true
	_ = c.file.SetReadDeadline(time.Unix(1, 0)) // fails if it is closed, which is a rest's end too
}

// part says good-bye to a client that rests, unless a request has come just now.
func (c *conn) part(p []byte) (int, error) {
	n, more := c.look(p)
	if n > 0 {
		c.endRest(n)
		_ = c.file.SetReadDeadline(c.headerDeadline()) // fails with the next read as well
		return n, nil
	}
	if more && c.wire != nil && c.wire.records.torn() { // a request has come, too, though not enough to read it
		_ = c.file.SetReadDeadline(c.headerDeadline())
		n, err := c.stream.Read(p)
		c.endRest(n)
		return n, err
	}
	if more {
		c.linger()
	}
	return 0, io.EOF
}

// failed gives an error the form that net/http knows: it takes what is no
// *net.OpError of a read for a bad request.
func (c *conn) failed(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if _, known := err.(*net.OpError); known { // from below TLS
		return err
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: c.remote.Network(), Source: c.local, Addr: c.remote, Err: err}
}
