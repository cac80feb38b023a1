package proto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"prefork/worker/reactor"
)

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// body is what stands behind the header of the last answer.
func (c *conversation) body() string {
	return string(c.out[bytes.LastIndex(c.out, []byte("\r\n\r\n"))+4:])
}

// one has an application answer one request, and returns the body.
func one(t *testing.T, app fasthttp.RequestHandler) string {
	t.Helper()
	return converse(t, HTTPConfig{App: app}).feed(plainGet).body()
}

// panics returns what a handler panics with. The reactor contains it, see
// reactor.PanicError.
func (c *conversation) panics(input string) (value any) {
	c.t.Helper()
	defer func() { value = recover() }()
	c.feed(input)
	c.t.Fatalf("got an answer:\n%s", c.out)
	return nil
}

func TestAppTime(t *testing.T) {
	t.Parallel()
	var times []time.Time
	before := time.Now()
	converse(t, HTTPConfig{App: func(ctx *fasthttp.RequestCtx) {
		times = append(times, ctx.Time(), ctx.ConnTime(), time.Now())
	}}).feed(plainGet + plainGet)
	for _, at := range times {
		if at.Before(before) {
			t.Fatalf("got times %v, want them in order: each request has its own", times)
		}
		before = at
	}
}

func TestAppAddresses(t *testing.T) {
	t.Parallel()
	app := func(ctx *fasthttp.RequestCtx) { fmt.Fprintf(ctx, "%v to %v", ctx.RemoteAddr(), ctx.LocalAddr()) }
	port := 0 // of the connection at hand
	c := converse(t, HTTPConfig{App: app, Addresses: func() (local, remote net.Addr) {
		return &net.TCPAddr{IP: net.IPv6loopback, Port: 80}, &net.TCPAddr{IP: net.IPv6loopback, Port: port}
	}})
	for port = 7; port < 9; port++ { // the second time with a RequestCtx that has served another
		if got, want := c.feed(plainGet).body(), fmt.Sprintf("[::1]:%d to [::1]:80", port); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := one(t, app); got != "0.0.0.0:0 to 0.0.0.0:0" {
		t.Errorf("without Addresses: got %q", got)
	}
}

// What an application leaves in its RequestCtx is not there for the next request,
// which may be another client's.
func TestAppLeavesNothing(t *testing.T) {
	t.Parallel()
	value := &closeCounter{}
	c := converse(t, HTTPConfig{App: func(ctx *fasthttp.RequestCtx) {
		if value := ctx.UserValue("key"); value != nil {
			t.Errorf("got user value %v", value)
		}
		if got := ctx.RemoteAddr().String(); got != "0.0.0.0:0" {
			t.Errorf("got address %s", got)
		}
		if got := ctx.Response.Header.Peek("X"); got != nil {
			t.Errorf("got header %q", got)
		}
		ctx.SetUserValue("key", value)
		ctx.SetRemoteAddr(&net.TCPAddr{Port: 9})
		ctx.Response.Header.Set("X", "y")
		ctx.Request.Header.SetMethod(fasthttp.MethodPost)
	}})
	for i := range 3 {
		c.feed(plainGet)
		if value.closed != i+1 {
			t.Errorf("after request %d: value closed %d times", i+1, value.closed)
		}
	}
}

type closeCounter struct{ closed int }

func (c *closeCounter) Close() error { c.closed++; return nil }

func TestAppCannotHaveTheConnection(t *testing.T) {
	t.Parallel()
	one(t, func(ctx *fasthttp.RequestCtx) {
		_, readError := ctx.Conn().Read(nil)
		_, writeError := ctx.Conn().Write(nil)
		ctx.Response.Header.Set("Link", "<a>; rel=preload")
		for name, err := range map[string]error{
			"read": readError, "write": writeError, "close": ctx.Conn().Close(),
			"deadline": ctx.Conn().SetDeadline(time.Time{}), "read deadline": ctx.SetReadDeadline(time.Time{}),
			"write deadline": ctx.SetWriteDeadline(time.Time{}), "early hints": ctx.EarlyHints(),
		} {
			if !errors.Is(err, errNotYours) {
				t.Errorf("%s: got %v, want %v", name, err, errNotYours)
			}
		}
	})
}

// After each way to lose a request the loop serves on, also the connections that
// were there before.
func TestAppThatFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		app  fasthttp.RequestHandler
		want string
	}{
		"panic":  {func(*fasthttp.RequestCtx) { panic("oops") }, "oops"},
		"hijack": {func(ctx *fasthttp.RequestCtx) { ctx.Hijack(func(net.Conn) {}) }, errHijacked.Error()},
		"endless stream": {func(ctx *fasthttp.RequestCtx) {
			ctx.SetBodyStream(endless{}, -1)
		}, "the stream of an answer is longer than 100000 bytes, and the loop sends an answer when it is whole"},
		"stream that panics":   {func(ctx *fasthttp.RequestCtx) { ctx.SetBodyStream(endless{panics: true}, -1) }, ""}, // fasthttp makes an error of it
		"net/http: panic":      {ofNetHTTP(func(http.ResponseWriter, *http.Request) { panic("oops") }), "net/http handler panicked"},
		"net/http: abort":      {ofNetHTTP(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), errHijacked.Error()},
		"net/http: hijack":     {ofNetHTTP(hijack), errHijacked.Error()},
		"net/http: panic late": {ofNetHTTP(flushAndAbort), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := NewHTTP(HTTPConfig{App: func(ctx *fasthttp.RequestCtx) {
				if string(ctx.Path()) == "/fail" {
					ctx.SetUserValue("left", "behind")
					test.app(ctx)
					return
				}
				fmt.Fprintf(ctx, "%v", ctx.UserValue("left"))
			}})
			h.limits.stream = 100_000
			other := converseWith(t, h).feed(plainGet)
			c := converseWith(t, h)
			const request = "GET /fail HTTP/1.1\r\nHost: a\r\n\r\n"
			if test.want == "" {
				if c.feed(request); c.phase != reactor.Close {
					t.Errorf("got %v, want close", c.phase)
				}
			} else if got := fmt.Sprint(c.panics(request)); got != test.want {
				t.Errorf("got panic %q, want %q", got, test.want)
			}
			for _, c := range []*conversation{other, converseWith(t, h)} {
				if got := c.feed(plainGet).body(); got != "<nil>" {
					t.Errorf("afterwards: got %q", got)
				}
			}
		})
	}
}

// endless is a stream without an end.
type endless struct{ panics bool }

func (e endless) Read(p []byte) (int, error) {
	if e.panics {
		panic("stream")
	}
	return len(p), nil
}

func hijack(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close() // refused, as everything that has to do with the connection
	}
}

func flushAndAbort(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "half")
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func ofNetHTTP(f http.HandlerFunc) fasthttp.RequestHandler {
	return fasthttpadaptor.NewFastHTTPHandler(f)
}

// A handler that was late keeps its RequestCtx, and the loop goes on with another.
func TestAppTimeoutError(t *testing.T) {
	t.Parallel()
	var late *fasthttp.RequestCtx
	c := converse(t, HTTPConfig{App: func(ctx *fasthttp.RequestCtx) {
		if late == nil {
			late = ctx
			ctx.TimeoutErrorWithCode("too late", fasthttp.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(ctx, "fresh: %v", ctx != late)
	}})
	c.feed("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := c.statuses(); got != "503" || c.body() != "" || !strings.Contains(string(c.out), "Content-Length: 8\r\n") {
		t.Errorf("got:\n%s\nwant 503 without a body, to HEAD", c.out)
	}
	late.SetStatusCode(fasthttp.StatusTeapot)
	if c.feed(plainGet); c.body() != "fresh: true" || c.statuses() != "503 200" {
		t.Errorf("afterwards: got:\n%s", c.out)
	}
}

func TestAppOfNetHTTP(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo/{name}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s from %s: %q %v", r.PathValue("name"), r.RemoteAddr, body, err)
	})
	mux.HandleFunc("GET /flush", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "part ")
			w.(http.Flusher).Flush()
		}
	})
	c := converse(t, HTTPConfig{App: fasthttpadaptor.NewFastHTTPHandler(mux)})
	c.feed("POST /echo/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	if got := c.body(); got != `x from 0.0.0.0:0: "abc" <nil>` {
		t.Errorf("got %q", got)
	}
	c.feed("GET /flush HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := c.statuses(); got != "200 200 404" || strings.Count(string(c.out), "part ") != 3 {
		t.Errorf("got:\n%s", c.out)
	}
}

// SendFile is a stream of known length.
func TestAppAnswersWithFiles(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("x", 100_000)
	path := t.TempDir() + "/file"
	mustWrite(t, path, content)
	if got := one(t, func(ctx *fasthttp.RequestCtx) { ctx.SendFile(path) }); got != content {
		t.Errorf("got %d bytes, want %d", len(got), len(content))
	}
}
