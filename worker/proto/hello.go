package proto

import (
	"fmt"

	"github.com/valyala/fasthttp"
)

const (
	// PlainText is the content type of what the built-in application says.
	PlainText = "text/plain; charset=utf-8"
	// HelloMethods are the methods that it allows.
	HelloMethods = "GET, HEAD"
)

// Hello is the built-in application: it says which worker answered.
type Hello struct {
	Slot        int
	Incarnation uint64
	Generation  uint64
	PID         int
}

// Answers is an application as a function of a request's method, its path, and
// the path as it was sent. Nobody may change the body, which is of the type
// PlainText.
type Answers func(method, path, sent []byte) (status int, body []byte)

// App returns the application as a handler of fasthttp.
func (answer Answers) App() fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType(PlainText)
		path, sent := ctx.RequestURI(), ctx.RequestURI()
		if string(path) != "/" { // which is what it looks like
			path, sent = ctx.Path(), ctx.URI().PathOriginal()
		}
		status, body := answer(ctx.Method(), path, sent)
		ctx.SetStatusCode(status)
		if status == fasthttp.StatusMethodNotAllowed {
			ctx.Response.Header.Set(fasthttp.HeaderAllow, HelloMethods)
		}
		ctx.Response.SetBodyRaw(body)
	}
}

// App returns the application as a handler of fasthttp.
func (h Hello) App() fasthttp.RequestHandler { return h.Answers().App() }

// Answers returns the application: GET / answers "hello from slot 2 generation 3
// pid 4242" and a line end, other paths are not found, other methods not allowed.
func (h Hello) Answers() Answers {
	greeting := fmt.Appendf(nil, "hello from slot %d generation %d pid %d\n", h.Slot, h.Generation, h.PID)
	return func(method, path, sent []byte) (int, []byte) {
		switch {
		case string(method) != fasthttp.MethodGet && string(method) != fasthttp.MethodHead:
			return fasthttp.StatusMethodNotAllowed, fmt.Appendf(nil, "method not allowed: %s — hello answers GET and HEAD\n", method)
		case string(path) != "/":
			// As it was sent: decoded it could hold anything.
			return fasthttp.StatusNotFound, fmt.Appendf(nil, "not found: %s — hello serves /\n", sent)
		}
		return fasthttp.StatusOK, greeting
	}
}

// Identity is a value for HTTPConfig.Identity, such as
// "slot=2 incarnation=5 generation=3 pid=4242".
func (h Hello) Identity() string {
	return fmt.Sprintf("slot=%d incarnation=%d generation=%d pid=%d", h.Slot, h.Incarnation, h.Generation, h.PID)
}
