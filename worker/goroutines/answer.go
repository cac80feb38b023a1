package goroutines

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// identityHeader names the worker that answered, see Config.Identity.
const identityHeader = "Prefork-Worker"

// answer is the http.ResponseWriter that a handler gets. It adds to the header in
// the last moment, so that a drain that begins while the handler works is still
// told to the client. It can whatever net/http's own can; what is not here,
// http.ResponseController finds by Unwrap.
type answer struct {
	http.ResponseWriter
	engine      *Engine
	multiplexed bool // HTTP/2
	begun       bool // the header is fixed
	patient     bool // the handler has chosen a deadline for writing
}

// begin comes BEFORE the header is fixed.
func (a *answer) begin(status int) {
	if a.begun || status < http.StatusOK { // informational ones are followed by the answer
		return
	}
	a.begun = true
	if a.engine.config.Identity != "" {
		a.Header().Set(identityHeader, a.engine.config.Identity)
	}
	if a.engine.parting.Load() {
		a.Header().Set("Connection", "close")
	}
}

func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	defer a.limit()()
	return a.ResponseWriter.Write(p)
}

// WriteString implements io.StringWriter.
func (a *answer) WriteString(s string) (int, error) {
	a.begin(http.StatusOK)
	defer a.limit()()
	return io.WriteString(a.ResponseWriter, s)
}

// ReadFrom implements io.ReaderFrom, which is how a file reaches conn.ReadFrom.
func (a *answer) ReadFrom(from io.Reader) (int64, error) {
	a.begin(http.StatusOK)
	to, ok := a.ResponseWriter.(io.ReaderFrom)
	if !ok { // HTTP/2
		return io.Copy(writerOnly{a}, from)
	}
	return to.ReadFrom(from)
}

// Flush implements http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() } // http.Flusher has no room for an error

// FlushError is what http.ResponseController looks for.
func (a *answer) FlushError() error {
	a.begin(http.StatusOK)
	defer a.limit()()
	return a.controller().Flush()
}

// SetWriteDeadline is what http.ResponseController looks for.
func (a *answer) SetWriteDeadline(t time.Time) error {
	a.patient = true
	return a.controller().SetWriteDeadline(t)
}

// limit bounds one write of HTTP/2 and returns what ends the bound. A client that
// reads the connection and gives this one answer no room would hold its handler
// for ever, and conn.Write, which bounds the rest, never hears of it.
func (a *answer) limit() (end func()) {
	if !a.multiplexed || a.patient {
		return func() {}
	}
	late := time.AfterFunc(a.engine.config.WriteTimeout, func() {
		_ = a.controller().SetWriteDeadline(time.Unix(1, 0)) // it fails if the connection has ended
	})
	return func() { late.Stop() }
}

// limitRest bounds what net/http writes after the handler's end.
func (a *answer) limitRest() {
	if a.multiplexed && !a.patient {
		_ = a.controller().SetWriteDeadline(time.Now().Add(a.engine.config.WriteTimeout)) // likewise
	}
}

func (a *answer) controller() *http.ResponseController {
	return http.NewResponseController(a.ResponseWriter)
}

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := a.controller().Hijack() // an error for HTTP/2
	a.begun = a.begun || err == nil                // the handler writes its own
	return conn, buffered, err
}

// Unwrap lets http.ResponseController find net/http's own.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
