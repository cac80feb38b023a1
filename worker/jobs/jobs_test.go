package jobs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"prefork/internal/conformance"
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

// digest is what the application of these tests answers to a body.
func digest(body []byte) string { return fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)) }

func digestApp(ctx *fasthttp.RequestCtx) { _, _ = ctx.WriteString(digest(ctx.PostBody())) }

var digestHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, digest(body))
})

// inChunks is a body in chunks of so many bytes.
func inChunks(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestLongBodies(t *testing.T) {
	t.Parallel()
	for name, serve := range both(digestApp, digestHandler) {
		s := serve(t, proto.HTTPConfig{}, Config{})
		c := s.dial(t)
		r := bufio.NewReader(c)
		for _, size := range []int{0, 1, wholeBodyMax, wholeBodyMax + 1, proto.MaxBodyDefault} {
			body := strings.Repeat("0123456789abcde\n", size/16+1)[:size]
			for _, sent := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
				"Transfer-Encoding: chunked\r\n\r\n" + inChunks(body, 7),
				"Transfer-Encoding: chunked\r\n\r\n" + inChunks(body, 300),
				"Transfer-Encoding: chunked\r\n\r\n" + inChunks(body, max(size, 1)),
			} {
				// What comes behind the body is the next request.
				_, got := exchangeOf(t, c, r, "POST / HTTP/1.1\r\nHost: a\r\n"+sent+plainGet)
				if want := digest([]byte(body)); got != want {
					t.Fatalf("%s: body of %d bytes, sent as %.40q: got %q, want %q", name, size, sent, got, want)
				}
				if _, got := exchangeOf(t, c, r, ""); got != digest(nil) {
					t.Fatalf("%s: the request behind a body of %d bytes: got %q", name, size, got)
				}
			}
		}
	}
}

// Bodies that are refused, or never come to an end: the connection ends with them.
func TestLongBodiesRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*wholeBodyMax)
	head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	begun := fmt.Sprintf("%s%x\r\n%s\r\n", head, len(long), long)
	for name, test := range map[string]struct {
		sent   string
		status int // 0: no answer
	}{
		"longer than the limit":     {head + inChunks(strings.Repeat("x", proto.MaxBodyDefault+1), 100_000) + plainGet, 413},
		"announced to be longer":    {fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", proto.MaxBodyDefault+1), 413},
		"bad chunk size":            {begun + "xyz\r\n", 400},
		"chunk longer than it says": {begun + "1\r\nab\r\n0\r\n\r\n", 400},
		"header in the trailer":     {begun + "0\r\nContent-Length: 5\r\n\r\nhello", 400},
		"long trailer":              {begun + "0\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n", 431},
		"end in a chunk":            {begun[:len(begun)-10], 0},
		"end between chunks":        {begun, 0},
		"end in the trailer":        {begun + "0\r\nX: y\r\n", 0},
		"end in a plain body":       {fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(long)+1, long), 0},
	} {
		for kind, serve := range both(digestApp, digestHandler) {
			s := serve(t, proto.HTTPConfig{}, Config{})
			c := s.dial(t)
			_, err := io.WriteString(c, test.sent)
			must(t, err)
			must(t, c.(*net.TCPConn).CloseWrite())
			answer, err := io.ReadAll(c)
			must(t, err)
			status := 0
			if len(answer) > 0 {
				_, err := fmt.Sscanf(string(answer), "HTTP/1.1 %d", &status)
				must(t, err)
			}
			if n := bytes.Count(answer, []byte("HTTP/1.1 ")); status != test.status || n > 1 {
				t.Errorf("%s, %s: got %d answers, status %d, want %d: %.200q", kind, name, n, status, test.status, answer)
			}
		}
	}
}

// A body that does not come in time costs its own connection, and nobody waits for it.
func TestLongBodyTooSlow(t *testing.T) {
	t.Parallel()
	s := serve(t, proto.HTTPConfig{App: digestApp}, Config{BodyTimeout: 50 * time.Millisecond})
	slow, other := s.dial(t), s.dial(t)
	_, err := io.WriteString(slow, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome")
	must(t, err)
	if _, got := exchangeOf(t, other, bufio.NewReader(other), plainGet); got != digest(nil) {
		t.Errorf("another client got %q", got)
	}
	if got, err := io.ReadAll(slow); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v, want an orderly end", got, err)
	}
}

// The application has its answer ready and leaves the body unread: a little is thrown
// away, for a lot the connection is given up.
func TestUnwantedBodies(t *testing.T) {
	t.Parallel()
	s := serve(t, proto.HTTPConfig{MaxBody: 10 << 20}, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "no")
	})})
	for size, want := range map[int]int{unwantedMax / 2: 2, 4 * unwantedMax: 1} {
		c := s.dial(t)
		writtenC := make(chan struct{})
		go func() { // it fails where the connection is given up
			defer close(writtenC)
			_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s%s", size, make([]byte, size), lastGet)
		}()
		answers, _ := io.ReadAll(c) // a client that is still writing may meet a reset
		if n := bytes.Count(answers, []byte("\r\n\r\nno")); n != want {
			t.Errorf("%d bytes unread: got %d answers, want %d", size, n, want)
		}
		<-writtenC
	}
}

// lastGet ends the connection.
const lastGet = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

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

// A Handler answers as it does on net/http's server.
func TestHandlerAsOnNetHTTP(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	changed := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, size := range map[string]int{"empty": 0, "short.txt": 1000, "edge": wholeAnswerMax, "long.bin": 3_000_000} {
		content := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, content, 0o644))
		must(t, os.Chtimes(path, changed, changed))
	}
	files := http.FileServer(http.Dir(folder))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/status":
			w.Header().Add("X-Two", "a")
			w.Header().Add("X-Two", "b")
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK) // too late
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/untyped":
			_, _ = io.WriteString(w, "<html><body>guess")
		case "/unmeasured":
			for range 100 {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 10_000))
			}
		case "/about":
			fmt.Fprintf(w, "%s %s %s %s %q %v", r.Method, r.RequestURI, r.Host, r.Proto, r.Header.Get("X-Some"), r.ContentLength)
		default:
			files.ServeHTTP(w, r)
		}
	})
	theirs := httptest.NewUnstartedServer(handler)
	theirs.Config.ErrorLog = log.New(io.Discard, "", 0) // of the second WriteHeader
	theirs.Start()
	defer theirs.Close()
	ours := serve(t, proto.HTTPConfig{}, Config{Handler: handler})

	ranged := func(path, ranges string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: a\r\nRange: bytes=" + ranges + "\r\n\r\n"
	}
	for _, sent := range []string{
		"GET /short.txt HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /edge HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /long.bin HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD /short.txt HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD /long.bin HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /long.bin HTTP/1.0\r\n\r\n",
		"GET /unmeasured HTTP/1.0\r\n\r\n",
		"GET /unmeasured HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD /unmeasured HTTP/1.1\r\nHost: a\r\n\r\n",
		ranged("/short.txt", "0-9"), ranged("/short.txt", "-1"), ranged("/short.txt", "2000-"),
		ranged("/long.bin", "100-2000000"), ranged("/long.bin", "2999990-"), ranged("/long.bin", "0-0,-1"),
		ranged("/long.bin", "0-999999,1500000-2500000"),
		"GET /long.bin HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n",
		"GET /long.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\nIf-Range: Tue, 24 Nov 2026 11:00:00 GMT\r\n\r\n",
		"GET /status HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /untyped HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /about?x=%20y HTTP/1.1\r\nHost: a:80\r\nX-Some: thing\r\n\r\n",
		"POST /about HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"GET /short.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	} {
		got, want := answerOf(t, ours.address, sent), answerOf(t, theirs.Listener.Addr().String(), sent)
		if got != want {
			t.Errorf("%.60q:\ngot  %.400q\nwant %.400q", sent, got, want)
		}
	}
}

// answerOf is an answer without what two servers may do differently: the boundary of
// parts, the date, and who says it. A body is given by its digest.
func answerOf(t *testing.T, address, sent string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(patienceOfTests)))
	_, err = io.WriteString(c, sent)
	must(t, err)
	method, _, _ := strings.Cut(sent, " ")
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	if _, boundary, parted := strings.Cut(response.Header.Get("Content-Type"), "boundary="); parted {
		response.Header.Set("Content-Type", strings.ReplaceAll(response.Header.Get("Content-Type"), boundary, "-"))
		body = bytes.ReplaceAll(body, []byte(boundary), []byte("-"))
	}
	response.Header.Del("Date")
	if method == http.MethodHead && response.ContentLength < 0 {
		response.TransferEncoding = nil // we say how GET would have been framed, they do not
	}
	return fmt.Sprintf("%s %v close=%v chunked=%v length=%d %s", response.Status, response.Header, response.Close,
		response.TransferEncoding, response.ContentLength, digest(body))
}

// TestJobsAgainstNetHTTP: a body that a job reads is judged like one that the loop
// holds. Where net/http refuses a request, the application does not get it to a good
// end; where both accept it, they have read the same.
func TestJobsAgainstNetHTTP(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		jobsAgainstNetHTTP(t, Config{StreamBody: stream})
	}
}

func jobsAgainstNetHTTP(t *testing.T, config Config) {
	t.Helper()
	var mu sync.Mutex
	var requests []string // of the case at hand
	saw := func(ctx *fasthttp.RequestCtx) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, conformance.Describe(ctx))
	}
	take := func() []string {
		mu.Lock()
		defer mu.Unlock()
		taken := requests
		requests = nil
		return taken
	}
	s := serve(t, proto.HTTPConfig{WholeBody: 1, App: func(ctx *fasthttp.RequestCtx) {
		stream := ctx.RequestBodyStream()
		if stream == nil {
			saw(ctx)
			return
		}
		body, err := io.ReadAll(stream)
		if err != nil {
			return
		}
		ctx.Request.SetBody(body)
		saw(ctx)
	}}, config)
	for _, c := range conformance.ReadCases(t) {
		for _, input := range []string{c.Input, c.Input + conformance.Afterwards} {
			conn := s.dial(t)
			_, _ = io.WriteString(conn, input) // it may be refused half-way
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.ReadAll(conn) // AFTER the end all jobs have
			ours, theirs := take(), conformance.ByNetHTTP(t, input)
			if n := len(ours); n > len(theirs.Requests) || !slices.Equal(ours, theirs.Requests[:n]) {
				t.Errorf("%s: our application sees\n%s\nnet/http's\n%s", c.Name,
					strings.Join(ours, "\n"), strings.Join(theirs.Requests, "\n"))
			}
		}
	}
}

// An application of fasthttp sees a body that is there, or is not called.
func TestBrokenBodyIsNotSeen(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := serve(t, proto.HTTPConfig{App: func(*fasthttp.RequestCtx) { calls.Add(1) }}, Config{})
	c := s.dial(t)
	_, err := io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 70_000))
	must(t, err)
	must(t, c.(*net.TCPConn).CloseWrite())
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v, want an orderly end", got, err)
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the application was called %d times for a body that broke off", n)
	}
}

// A body that turns out broken when its answer has gone out ends the connection, and
// is no second answer.
func TestBrokenBodyBehindItsAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, proto.HTTPConfig{}, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 2*wholeAnswerMax))
	})})
	c := s.dial(t)
	_, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nxyz\r\n", 70_000, make([]byte, 70_000))
	must(t, err)
	answers, err := io.ReadAll(c)
	must(t, err)
	if n := bytes.Count(answers, []byte("HTTP/1.1 ")); n != 1 || !bytes.HasPrefix(answers, []byte("HTTP/1.1 200")) {
		t.Errorf("got %d answers, %.100q", n, answers)
	}
}

// Who has its answer without the body gets it, although the body does not come.
func TestAnswerDoesNotWaitForItsBody(t *testing.T) {
	t.Parallel()
	s := serve(t, proto.HTTPConfig{}, Config{BodyTimeout: patienceOfTests, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusMethodNotAllowed)
	})})
	for _, length := range []int{wholeBodyMax + 1, 4 * unwantedMax} {
		c := s.dial(t)
		response, _ := exchangeOf(t, c, bufio.NewReader(c), fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nsome", length))
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("body of %d bytes: got %s", length, response.Status)
		}
	}
}

// Somebody whom a Handler has left behind reads nothing that is another request's.
func TestLateReaderOfABody(t *testing.T) {
	t.Parallel()
	readC, goOn := make(chan error, 1), make(chan struct{})
	s := serve(t, proto.HTTPConfig{}, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength <= 0 {
			return
		}
		go func() {
			<-goOn
			_, err := r.Body.Read(make([]byte, 10))
			readC <- err
		}()
	})})
	c := s.dial(t)
	r := bufio.NewReader(c)
	exchangeOf(t, c, r, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", 2*wholeBodyMax, make([]byte, 2*wholeBodyMax)))
	close(goOn)
	if err := <-readC; err == nil || err == io.EOF {
		t.Errorf("a late read got %v, want that it is over", err)
	}
	if response, _ := exchangeOf(t, c, r, plainGet); response.StatusCode != http.StatusOK {
		t.Errorf("the next request got %s", response.Status)
	}
}
