package proto

import (
	"fmt"

	"github.com/valyala/fasthttp"
)

const plainText = "text/plain; charset=utf-8"

// Hello is the built-in application: it says which worker answered.
type Hello struct {
	Slot        int
	Incarnation uint64
	Generation  uint64
	PID         int
}

// App returns the application: GET / answers "hello from slot 2 generation 3
// pid 4242" and a line end, other paths are not found, other methods are not
// allowed.
func (h Hello) App() fasthttp.RequestHandler {
	greeting := fmt.Appendf(nil, "hello from slot %d generation %d pid %d\n", h.Slot, h.Generation, h.PID)
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType(plainText)
		switch {
		case !ctx.IsGet() && !ctx.IsHead():
			ctx.SetStatusCode(fasthttp.StatusMethodNotAllowed)
			ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
			ctx.SetBodyString(fmt.Sprintf("method not allowed: %s — hello answers GET and HEAD\n", ctx.Method()))
		case string(ctx.Path()) != "/":
			ctx.SetStatusCode(fasthttp.StatusNotFound)
			// As it was sent: decoded it could hold anything.
			ctx.SetBodyString(fmt.Sprintf("not found: %s — hello serves /\n", ctx.URI().PathOriginal()))
		default:
			ctx.Response.SetBodyRaw(greeting)
		}
	}
}

// Identity is a value for HTTPConfig.Identity, such as
// "slot=2 incarnation=5 generation=3 pid=4242".
func (h Hello) Identity() string {
	return fmt.Sprintf("slot=%d incarnation=%d generation=%d pid=%d", h.Slot, h.Incarnation, h.Generation, h.PID)
}
