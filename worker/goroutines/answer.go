package goroutines

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// identityHeader names the worker that answered, see Config.Identity.
const identityHeader = "Prefork-Worker"

// answer is the http.ResponseWriter that a handler gets. It adds to the header in
// the last moment, so that a drain that begins while the handler works is still
// told to the client. It can whatever net/http's own can; what is not here,
// http.ResponseController finds by Unwrap.
type answer struct {
	http.ResponseWriter
	engine *Engine
	begun  bool // the header is fixed
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
	if a.engine.draining.Load() {
		a.Header().Set("Connection", "close")
	}
}

func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(p)
}

// WriteString implements io.StringWriter.
func (a *answer) WriteString(s string) (int, error) {
	a.begin(http.StatusOK)
	return io.WriteString(a.ResponseWriter, s)
}

// ReadFrom implements io.ReaderFrom, which is how a file reaches conn.ReadFrom.
func (a *answer) ReadFrom(from io.Reader) (int64, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.(io.ReaderFrom).ReadFrom(from)
}

// Flush implements http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() } // http.Flusher has no room for an error

// FlushError is what http.ResponseController looks for.
func (a *answer) FlushError() error {
	a.begin(http.StatusOK)
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.begun = true // the handler writes its own
	return a.ResponseWriter.(http.Hijacker).Hijack()
}

// Unwrap lets http.ResponseController find net/http's own.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
