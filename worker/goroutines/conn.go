package goroutines

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// phase is where a connection stands between two requests.
type phase uint8

const (
	header   phase = iota // a request is on its way, or the first one is awaited
	busy                  // it is being answered
	idle                  // it was answered, the next one is awaited
	hijacked              // the handler has taken the connection over
	streams               // HTTP/2: any number of requests at a time
)

// conn is one connection, as net/http sees it. It owns its descriptor by file:
// package net would take it over only as a duplicate.
type conn struct {
	engine        *Engine
	file          *os.File
	raw           syscall.RawConn // of file
	stream        io.ReadWriter   // what net/http's bytes go through: file, leftover or secure
	leftover      *leftover       // nil: nobody else has read from it
	secure        *tls.Conn       // nil: no TLS
	wire          *wire           // below secure
	http2         bool            // the client has chosen it
	local, remote net.Addr
	begun         atomic.Bool // somebody reads from it, or has closed it
	closed        atomic.Bool

	mu      sync.Mutex
	phase   phase
	room    int       // size of net/http's read buffer; 0: not known yet
	got     int       // bytes of the coming request that net/http was given
	waits   int       // deadlines for reading that net/http has set while idle
	resting bool      // net/http waits, in Read, for the first byte of a request
	restBy  time.Time // the end of that wait
	pending bool      // the rest was interrupted, and has not taken note of it
	chosen  bool      // it is to be offered to an heir
	offered uint64    // the epoch in which it was, see estate
	fresh   bool      // it was another worker's, and no request has begun here
	broken  bool      // a handler has panicked, or a drain has no more time for it
	ended   bool      // the client will send no more
	mute    bool      // the request that is read will never be whole: no answer
	writeBy time.Time // the handler's deadline for writing; zero: none

	multiplexed multiplexed // while the phase is streams
}

func newConn(e *Engine, fd int) *conn {
	c := &conn{engine: e, local: localAddr(fd), remote: remoteAddr(fd)}
	c.file = os.NewFile(uintptr(fd), "connection")
	c.raw, _ = c.file.SyscallConn() // fails for a nil file only
	c.stream = c.file
	return c
}

// begin comes BEFORE the first byte is read.
func (c *conn) begin() {
	if c.begun.CompareAndSwap(false, true) {
		c.engine.begun()
	}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is net/http's sign, too: when the connection becomes idle it sets
// one for the wait, and the next one for a request that has begun.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	if c.phase == idle {
		c.waits++
		c.restBy = t
		if c.waits > 1 {
			c.phase = header
		}
	}
	c.mu.Unlock()
	return c.failed("set", c.file.SetReadDeadline(t))
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.writeBy = t
	c.mu.Unlock()
	return c.failed("set", c.file.SetWriteDeadline(t))
}

// becomeBusy: a request goes to the handler.
func (c *conn) becomeBusy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == streams {
		c.multiplexed.fresh = false
		return
	}
	c.phase = busy
}

// becomeIdle: the request was answered, and net/http goes on to the next one.
func (c *conn) becomeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.got, c.waits = idle, 0, 0
}

func (c *conn) becomeHijacked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = hijacked
}

func (c *conn) becomeMultiplexed(s *http.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.multiplexed = streams, multiplexed{server: s, fresh: true}
}

// becomeBroken: a panic of a handler ends the connection; with HTTP/2 its stream only.
func (c *conn) becomeBroken() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = c.phase != streams
}

// becomeEnded: the client sends no more.
func (c *conn) becomeEnded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

func (c *conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Close ends the connection, without a reset if there may be unread input: that
// could destroy the last answer before the client has read it.
func (c *conn) Close() error {
	if c.mayHaveMore() {
		c.linger()
	} else if c.secure != nil {
		_ = c.secure.CloseWrite() // the client may have gone
	}
	return c.end()
}

// mayHaveMore says whether the client has sent more than was read, or may want to
// send more because it is we who end a conversation.
func (c *conn) mayHaveMore() bool {
	c.mu.Lock()
	settled := c.ended || c.phase == hijacked
	c.mu.Unlock()
	if settled || c.closed.Load() {
		return false
	}
	var one [1]byte
	n, more := c.look(one[:])
	return n > 0 || more && c.engine.parting.Load()
}

// end closes the descriptor, once.
func (c *conn) end() error {
	if !c.closed.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	c.countEnd()
	err := c.file.Close()
	c.begin()
	c.engine.remove(c)
	return c.failed("close", err)
}

// countEnd counts an end for which there is a hook. A client that has gone in the middle
// of a request, or was too slow for it, is neither finished nor cut.
func (c *conn) countEnd() {
	e := c.engine
	c.mu.Lock()
	half := c.phase == header && c.got > 0
	cut := c.broken || e.cutting.Load() && (half || c.phase == busy || c.phase == hijacked || c.phase == streams)
	c.mu.Unlock()
	switch {
	case cut:
		e.ended(e.config.Cut)
	case !half && e.draining.Load():
		e.ended(e.config.Finished)
	}
}
