package jobs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"prefork/internal/conformance"
	"prefork/worker/proto"
)

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
