package proto

import (
	"errors"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

var (
	// errHijacked is panicked with: it costs the connection and says one line to the
	// operator, see reactor.PanicError.
	errHijacked = errors.New("a request wants the connection itself (Hijack; also http.ErrAbortHandler through fasthttpadaptor), which belongs to the loop")
	errNotYours = errors.New("the connection belongs to the loop: a handler has the request and the response")
)

// exchange is a request and its answer. A loop has one, and makes another when the
// application has not given it back: it panicked, or other goroutines may still
// use it.
type exchange struct {
	ctx  fasthttp.RequestCtx
	peer peer
}

func newExchange(addresses func() (local, remote net.Addr)) *exchange {
	return &exchange{peer: peer{addresses: addresses}}
}

// begin makes ctx that of a new request. Its times are now, and what the application
// told the last one is gone.
func (e *exchange) begin() {
	const saveMemory = true // bodies go back to fasthttp's pool
	e.ctx.Init2(&e.peer, nil, saveMemory)
}

// end closes what the application has left in ctx, and gives its buffers back.
func (e *exchange) end() {
	e.ctx.Request.Reset()
	e.ctx.Response.Reset()
}

// peer is what a RequestCtx has for a net.Conn: the addresses of the connection at
// hand, looked up when asked for.
type peer struct {
	addresses func() (local, remote net.Addr) // nil: nobody knows
}

// LocalAddr implements net.Conn. nil: unknown, fasthttp makes 0.0.0.0:0 of it.
func (p *peer) LocalAddr() net.Addr {
	local, _ := p.ends()
	return local
}

// RemoteAddr implements net.Conn, as LocalAddr does.
func (p *peer) RemoteAddr() net.Addr {
	_, remote := p.ends()
	return remote
}

func (p *peer) ends() (local, remote net.Addr) {
	if p.addresses == nil {
		return nil, nil
	}
	return p.addresses()
}

func (*peer) Read([]byte) (int, error)         { return 0, errNotYours }
func (*peer) Write([]byte) (int, error)        { return 0, errNotYours }
func (*peer) Close() error                     { return errNotYours }
func (*peer) SetDeadline(time.Time) error      { return errNotYours }
func (*peer) SetReadDeadline(time.Time) error  { return errNotYours }
func (*peer) SetWriteDeadline(time.Time) error { return errNotYours }
