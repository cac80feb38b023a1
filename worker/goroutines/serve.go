package goroutines

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"prefork/worker/reactor"
)

// lengthUnknown is net/http's Request.ContentLength of a chunked body.
const lengthUnknown = -1

// serve stands between net/http and the handler.
func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*conn)
	c.becomeBusy()
	a := &answer{ResponseWriter: w, engine: e, multiplexed: r.ProtoMajor > 1}
	defer e.finish(c, a)
	if r.ContentLength > int64(e.config.MaxBody) {
		e.refuseBody(a)
		return
	}
	if r.ContentLength != 0 {
		// If it fails, the first read does as well.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(e.config.BodyTimeout))
	}
	if r.ContentLength == lengthUnknown {
		e.serveLimited(a, r)
		return
	}
	e.config.Handler.ServeHTTP(a, r)
}

// serveLimited serves a request whose body may turn out too long. The handler gets
// a copy: net/http goes by the type of its own request's Body when it has to
// decide what becomes of unread input.
func (e *Engine) serveLimited(a *answer, r *http.Request) {
	limited := new(http.Request)
	*limited = *r
	limited.Body = http.MaxBytesReader(a.ResponseWriter, r.Body, int64(e.config.MaxBody))
	defer func() {
		if limited.MultipartForm != nil {
			_ = limited.MultipartForm.RemoveAll() // as net/http does for its own
		}
	}()
	e.config.Handler.ServeHTTP(a, limited)
}

// refuseBody answers a request that announces more than the limit allows.
func (e *Engine) refuseBody(w *answer) {
	if !w.multiplexed { // there the stream ends, and the others go on
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	fmt.Fprintf(w, "request body too large: the limit is %d bytes\n", e.config.MaxBody)
}

// finish is deferred by serve. It contains a panic: net/http closes the connection
// and says nothing about http.ErrAbortHandler.
func (e *Engine) finish(c *conn, a *answer) {
	v := recover()
	if v == nil {
		a.begin(http.StatusOK) // for a handler that has written nothing
		a.limitRest()
		e.answered()
		return
	}
	if v != http.ErrAbortHandler {
		e.report(&reactor.PanicError{Value: v, Stack: debug.Stack()})
	}
	c.becomeBroken()
	panic(http.ErrAbortHandler)
}
