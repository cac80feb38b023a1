package jobs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"prefork/worker/proto"
	"prefork/worker/reactor"
)

const (
	patienceOfTests = time.Minute
	plainGet        = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	wholeBodyMax    = proto.WholeBodyDefault
)

// served is an application on a loop on a real socket, with its jobs.
type served struct {
	*reactor.Loop
	address string
}

// serve serves app, or handler if there is one.
func serve(t *testing.T, app proto.HTTPConfig, config Config) *served {
	t.Helper()
	s := &served{}
	app.Draining = func() bool { return s.Draining() }
	app.Addresses = func() (local, remote net.Addr) { return s.Addresses() }
	config.Lend = func(errand reactor.Errand) { s.Lend(errand) }
	config.Compute = func(errand reactor.Errand) { s.Compute(errand) }
	New(config).Serve(&app)
	h := proto.NewHTTP(app)
	var err error
	s.Loop, err = reactor.New(reactor.Config{NewHandler: h.NewHandler, MaxInput: h.MaxInput()})
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.address = listener.Addr().String()
	raw, err := listener.(syscall.Conn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = s.Listen(int(fd)) }))
	must(t, err)
	endedC := make(chan error, 1)
	go func() { endedC <- s.Run() }()
	t.Cleanup(func() {
		s.Drain(1, nil) // long past: at once
		if err := <-endedC; err != nil {
			t.Errorf("run: %v", err)
		}
		listener.Close()
	})
	return s
}

func (s *served) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.address, patienceOfTests)
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(patienceOfTests)))
	t.Cleanup(func() { c.Close() })
	return c
}

// both are the two ways to answer a request away from the loop.
func both(app fasthttp.RequestHandler, handler http.Handler) map[string]func(*testing.T, proto.HTTPConfig, Config) *served {
	return map[string]func(*testing.T, proto.HTTPConfig, Config) *served{
		"app": func(t *testing.T, h proto.HTTPConfig, c Config) *served {
			h.App = app
			return serve(t, h, c)
		},
		"handler": func(t *testing.T, h proto.HTTPConfig, c Config) *served {
			c.Handler = handler
			return serve(t, h, c)
		},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exchangeOf sends what stands for a request, and returns the answer with its body.
func exchangeOf(t *testing.T, c net.Conn, r *bufio.Reader, sent string) (*http.Response, string) {
	t.Helper()
	_, err := io.WriteString(c, sent)
	must(t, err)
	response, err := http.ReadResponse(r, nil)
	must(t, err)
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response, string(body)
}

// gated is a body that is made while it is sent.
func gated(goOn <-chan struct{}) func(w *bufio.Writer) {
	return func(w *bufio.Writer) {
		_, _ = w.WriteString("first ")
		_ = w.Flush()
		<-goOn
		_, _ = w.WriteString("second")
	}
}

func TestStreamedAnswers(t *testing.T) {
	t.Parallel()
	for name := range both(nil, nil) {
		goOn := make(chan struct{})
		s := both(func(ctx *fasthttp.RequestCtx) { ctx.SetBodyStreamWriter(gated(goOn)) },
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "first ")
				w.(http.Flusher).Flush()
				<-goOn
				_, _ = io.WriteString(w, "second")
			}))[name](t, proto.HTTPConfig{}, Config{})
		c := s.dial(t)
		_, err := io.WriteString(c, plainGet)
		must(t, err)
		r := bufio.NewReader(c)
		response, err := http.ReadResponse(r, nil)
		must(t, err)
		first := make([]byte, len("first "))
		if _, err := io.ReadFull(response.Body, first); string(first) != "first " || err != nil {
			t.Errorf("%s: got %q, %v, before there is more", name, first, err)
		}
		close(goOn)
		if rest, err := io.ReadAll(response.Body); string(rest) != "second" || err != nil {
			t.Errorf("%s: got %q, %v", name, rest, err)
		}
		if _, got := exchangeOf(t, c, r, plainGet); got != "first second" {
			t.Errorf("%s: the next request got %q", name, got)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	s := serve(t, proto.HTTPConfig{
		App: func(ctx *fasthttp.RequestCtx) {
			if string(ctx.Path()) != "/" {
				<-goOn
			}
			fmt.Fprintf(ctx, "%s from %v", ctx.Path(), ctx.RemoteAddr())
		},
		Place: func(ctx *fasthttp.RequestCtx) proto.Place {
			return map[string]proto.Place{"/pool": proto.OnPool, "/goroutine": proto.OnGoroutine}[string(ctx.Path())]
		},
	}, Config{})
	clients := map[string]net.Conn{"/pool": s.dial(t), "/goroutine": s.dial(t)}
	for path, c := range clients {
		_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n%s", path, plainGet)
		must(t, err)
	}
	other := s.dial(t)
	if _, got := exchangeOf(t, other, bufio.NewReader(other), plainGet); got != "/ from "+other.LocalAddr().String() {
		t.Errorf("on the loop: got %q", got)
	}
	close(goOn)
	for path, c := range clients {
		r := bufio.NewReader(c)
		for _, want := range []string{path, "/"} {
			if _, got := exchangeOf(t, c, r, ""); got != want+" from "+c.LocalAddr().String() {
				t.Errorf("behind %s: got %q", path, got)
			}
		}
	}
}
