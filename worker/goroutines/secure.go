package goroutines

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The protocols above TLS, by their names in ALPN (RFC 7301).
const (
	protocolHTTP2 = "h2"
	protocolHTTP1 = "http/1.1"
)

// prepareTLS completes what the caller wants of TLS.
func (e *Engine) prepareTLS() {
	if e.config.TLS == nil {
		return
	}
	e.tls = e.config.TLS.Clone()
	e.tls.NextProtos = []string{protocolHTTP2, protocolHTTP1}
	if e.newHTTP2().TLSNextProto[protocolHTTP2] == nil { // GODEBUG=http2server=0
		e.tls.NextProtos = []string{protocolHTTP1}
	}
}

// secure puts TLS between the socket of a connection and net/http.
func (e *Engine) secure(c *conn) net.Conn {
	c.wire = &wire{conn: c}
	c.secure = tls.Server(c.wire, e.tls)
	c.stream = c.secure
	return secureConn{c}
}

// secureConn is a conn that speaks TLS, as net/http sees it. That sees what is
// inside, never a *tls.Conn: whether a client is in the middle of a request (see
// conn) can be told from its own bytes only, not from those that carry them.
//
//	net/http ─► conn ─► tls.Conn ─► wire ─► socket      HTTP/1
//	  HTTP/2 ─────────► tls.Conn ─► wire ─► socket      see multiplex
type secureConn struct{ *conn }

// ConnectionState is where net/http begins with a connection that has TLS: it
// becomes Request.TLS. So this is where the handshake belongs.
func (c secureConn) ConnectionState() tls.ConnectionState {
	c.handshake()
	return c.secure.ConnectionState()
}

// handshake is bounded by the header timeout as a whole. After a failed one the
// connection is closed.
func (c *conn) handshake() {
	c.begin()
	_ = c.file.SetDeadline(c.headerDeadline()) // fails with the handshake as well
	err := c.secure.Handshake()
	if err != nil {
		c.refuseHandshake(err)
		return
	}
	c.http2 = c.secure.ConnectionState().NegotiatedProtocol == protocolHTTP2
}

// insteadOfTLS is net/http's own answer to who speaks HTTP where TLS is spoken.
const insteadOfTLS = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"

func (c *conn) refuseHandshake(err error) {
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain) && isText(plain.RecordHeader):
		_, _ = io.WriteString(c.file, insteadOfTLS) // the connection ends anyway
	case !isEnd(err):
		c.engine.log.add(fmt.Sprintf("TLS handshake with %s: %v", c.remote, err))
	}
	c.linger()
	_ = c.end() // nothing of it is left to be told
}

// isText tells the beginning of an HTTP request from that of a TLS record, whose
// first byte is a small number.
func isText(header [5]byte) bool { return header[0] >= 'A' && header[0] <= 'Z' }

// isEnd says that the client has gone, or does not speak: a look at the port, an
// impatient person. It is no news.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// wire is what TLS sees of a connection: the socket. TLS lets one goroutine read at a
// time.
type wire struct {
	*conn
	records records
	looking atomic.Bool // Read does not wait
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (n int, err error) {
	if w.looking.Load() {
		n, err = w.readNow(p)
	} else {
		n, err = w.file.Read(p)
	}
	w.records.pass(p[:n])
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.becomeEnded()
	}
	return n, w.failed("read", err)
}

// readNow fails like a read whose deadline has passed when nothing is there: TLS
// can go on after that.
func (w *wire) readNow(p []byte) (int, error) {
	n, more := w.lookRaw(p)
	switch {
	case n > 0:
		return n, nil
	case more:
		return 0, os.ErrDeadlineExceeded
	}
	return 0, io.EOF
}

// Write implements net.Conn. The client gets more time for each record.
func (w *wire) Write(p []byte) (int, error) {
	w.extendWrite() // even a connection that owes no answer says good-bye
	n, err := w.file.Write(p)
	return n, w.failed("write", err)
}

// Close is called at the end of HTTP/2 only; conn closes by itself. TLS has said
// good-bye, or is busy with a client that takes nothing.
func (w *wire) Close() error {
	if !w.hasEnded() && w.shutWrite() == nil {
		w.discard()
	}
	return w.end()
}

// recordHeaderSize is that of TLS: type, version, length (RFC 8446, 5.1).
const recordHeaderSize = 5

// records follows the boundaries in a stream of TLS records.
type records struct {
	header [recordHeaderSize]byte
	have   int // bytes of the header
	left   int // bytes of the body that are still to come
}

// pass takes what comes next.
func (r *records) pass(p []byte) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left, p = r.left-n, p[n:]
			continue
		}
		n := copy(r.header[r.have:], p)
		r.have, p = r.have+n, p[n:]
		if r.have == recordHeaderSize {
			r.have, r.left = 0, int(r.header[3])<<8|int(r.header[4])
		}
	}
}

// torn says that a record has begun and is not whole.
func (r *records) torn() bool { return r.have > 0 || r.left > 0 }
