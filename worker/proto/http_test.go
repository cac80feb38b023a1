package proto

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"prefork/worker/reactor"
)

// mirror answers with what it understood of the request.
func mirror(ctx *fasthttp.RequestCtx) {
	fmt.Fprintf(ctx, "%s %s body=%q", ctx.Method(), ctx.RequestURI(), ctx.Request.Body())
}

// conversation is a handler with a client's end: it does what the reactor
// does with a connection.
type conversation struct {
	t       rapid.TB // of the tests, the fuzzer or rapid
	handler reactor.Handler
	limit   int
	in      []byte
	out     []byte
	phase   reactor.Phase
}

func converse(t rapid.TB, config HTTPConfig) *conversation {
	if config.App == nil {
		config.App = mirror
	}
	return converseWith(t, NewHTTP(config))
}

// converseWith is one more connection of h.
func converseWith(t rapid.TB, h *HTTP) *conversation {
	return &conversation{t: t, handler: h.NewHandler(), limit: h.MaxInput(), phase: reactor.Header}
}

// feed hands over bytes as the reactor would, one read after the other.
func (c *conversation) feed(piece string) *conversation {
	c.t.Helper()
	c.in = append(c.in, piece...)
	for len(c.in) > 0 && c.phase != reactor.Close {
		consumed, out, next := c.handler.Handle(c.in, c.out)
		if consumed < 0 || consumed > len(c.in) {
			c.t.Fatalf("consumed %d of %d bytes", consumed, len(c.in))
		}
		if len(out) < len(c.out) {
			c.t.Fatalf("output shrank from %d to %d bytes", len(c.out), len(out))
		}
		c.in, c.out, c.phase = c.in[consumed:], out, next
		if consumed == 0 {
			break
		}
	}
	if c.phase != reactor.Close && len(c.in) >= c.limit {
		c.t.Fatalf("handler leaves %d bytes unread, more than MaxInput %d", len(c.in), c.limit)
	}
	return c
}

// handOver has another handler go on, if the reactor would have one.
func (c *conversation) handOver(h *HTTP) *conversation {
	c.t.Helper()
	if c.phase > reactor.Header {
		return c
	}
	packed, ok := c.handler.(reactor.Portable).Pack()
	if !ok {
		c.t.Fatalf("it does not pack in phase %v", c.phase)
	}
	c.handler = h.NewHandler()
	if len(packed) > 0 {
		if err := c.handler.(reactor.Portable).Unpack(packed); err != nil {
			c.t.Fatalf("unpack %q: %v", packed, err)
		}
	}
	return c
}

// answers is the output without what changes from run to run.
func (c *conversation) answers() string { return withoutDates(string(c.out)) }

func withoutDates(out string) string {
	var kept strings.Builder
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "Date: ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// statuses are the status codes of all answers, in order.
func (c *conversation) statuses() string {
	var codes []string
	for line := range strings.Lines(string(c.out)) {
		// Bodies in these tests do not end with a line end: an answer's status
		// line may stand behind one.
		if _, rest, found := strings.Cut(line, "HTTP/1.1 "); found {
			codes = append(codes, rest[:3])
		}
	}
	return strings.Join(codes, " ")
}

func TestHTTPStatus(t *testing.T) {
	t.Parallel()
	const host = "Host: a\r\n"
	const all = "(all)" // the whole input stays unread
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		name     string
		input    string
		statuses string
		phase    reactor.Phase
		rest     string // what stays unread
	}{
		{name: "get", input: "GET / HTTP/1.1\r\n" + host + "\r\n", statuses: "200", phase: reactor.Idle},
		{name: "empty line first", input: "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "empty line after a form", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\r\na\r\nGET / HTTP/1.1\r\n" + host + "\r\n", statuses: "200 200", phase: reactor.Idle},
		{name: "half an empty line after a form", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\r\na\r", statuses: "200", phase: reactor.Header, rest: "\r"},
		{name: "two empty lines after a form", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\r\na\r\n\r\n", statuses: "200 400", phase: reactor.Close, rest: "\r\n"},
		{name: "half a header", input: "GET / HTTP/1.1\r\n" + host, phase: reactor.Header, rest: all},
		{name: "only empty lines", input: "\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "pipelined", input: strings.Repeat("GET / HTTP/1.1\r\n"+host+"\r\n", 3), statuses: "200 200 200", phase: reactor.Idle},
		{name: "one and a half", input: "GET / HTTP/1.1\r\n" + host + "\r\nGET", statuses: "200", phase: reactor.Header, rest: "GET"},
		{name: "asked to close", input: "GET / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\nGET", statuses: "200", phase: reactor.Close, rest: "GET"},
		{name: "1.0", input: "GET / HTTP/1.0\r\n\r\n", statuses: "200", phase: reactor.Close},
		{name: "1.0 keep-alive", input: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", statuses: "200", phase: reactor.Idle},
		{name: "head", input: "HEAD / HTTP/1.1\r\n" + host + "\r\n", statuses: "200", phase: reactor.Idle},

		{name: "body", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", statuses: "200", phase: reactor.Idle},
		{name: "half a body", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nab", phase: reactor.Body, rest: all},
		{name: "body of a get", input: "GET / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", statuses: "200", phase: reactor.Idle},
		{name: "body at the limit", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 200\r\n\r\n" + long[:200], statuses: "200", phase: reactor.Idle},
		{name: "body beyond the limit", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 201\r\n\r\n", statuses: "413", phase: reactor.Close, rest: all},
		{name: "multipart form", input: "POST / HTTP/1.1\r\n" + host + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 3\r\n\r\nabc", statuses: "200", phase: reactor.Idle},

		{name: "chunks", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", statuses: "200", phase: reactor.Idle},
		{name: "chunks with trailer", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", statuses: "200", phase: reactor.Idle},
		{name: "half a chunk", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nab", phase: reactor.Body, rest: all},
		{name: "chunks beyond the limit", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n64\r\n" + long[:100] + "\r\n65\r\n", statuses: "413", phase: reactor.Close, rest: all},
		{name: "tiny chunks", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 100), statuses: "413", phase: reactor.Close, rest: all},
		{name: "chunk of no number", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nx\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "chunk longer than announced", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "chunk without its end", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc", statuses: "400", phase: reactor.Close, rest: all},
		{name: "chunk line without end", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" + long, statuses: "400", phase: reactor.Close, rest: all},
		{name: "trailer beyond the limit", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + long, statuses: "431", phase: reactor.Close, rest: all},

		{name: "continue", input: "POST / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", statuses: "100", phase: reactor.Body, rest: all},
		{name: "continue with body", input: "POST / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", statuses: "100 200", phase: reactor.Idle},
		{name: "continue beyond the limit", input: "POST / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 999\r\n\r\n", statuses: "413", phase: reactor.Close, rest: all},

		{name: "header at the limit", input: "GET / HTTP/1.1\r\n" + host + "X: " + long[:200-16-9-3-4] + "\r\n\r\n", statuses: "200", phase: reactor.Idle},
		{name: "header beyond the limit", input: "GET / HTTP/1.1\r\n" + host + "X: " + long[:200-16-9-3-3] + "\r\n\r\n", statuses: "431", phase: reactor.Close, rest: all},
		{name: "endless header", input: "GET /" + long, statuses: "431", phase: reactor.Close, rest: all},
		{name: "endless empty lines", input: strings.Repeat("\r\n", 101), statuses: "400", phase: reactor.Close, rest: all},

		{name: "garbage", input: "\x16\x03\x01\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "http/2 preface", input: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "no host", input: "GET / HTTP/1.1\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "two hosts", input: "GET / HTTP/1.1\r\n" + host + host + "\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "impossible host", input: "GET / HTTP/1.1\r\nHost: [\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},

		{name: "smuggling: length and chunks", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: chunks and length", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: identity and length", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\na", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: two lengths", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: equal lengths", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: length list", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: 3, 4\r\n\r\nabc", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: signed length", input: "POST / HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: unknown coding", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: space before colon", input: "POST / HTTP/1.1\r\n" + host + "Content-Length : 3\r\n\r\nabc", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: bare line feeds", input: "GET / HTTP/1.1\nHost: a\n\nGET /b HTTP/1.1\r\n" + host + "\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: chunks in 1.0", input: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
		{name: "smuggling: bare line feed in trailer", input: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\nGET / HTTP/1.1\r\n\r\n", statuses: "400", phase: reactor.Close, rest: all},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := converse(t, HTTPConfig{MaxHeader: 200, MaxBody: 200}).feed(test.input)
			if got := c.statuses(); got != test.statuses {
				t.Errorf("statuses: got %q, want %q; answers:\n%s", got, test.statuses, c.out)
			}
			if c.phase != test.phase {
				t.Errorf("phase: got %v, want %v", c.phase, test.phase)
			}
			rest := test.rest
			if rest == all {
				rest = test.input
			}
			if string(c.in) != rest {
				t.Errorf("unread: got %q, want %q", c.in, rest)
			}
		})
	}
}

func TestHTTPPassesTheRequestOn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, input, want string
	}{
		{"target and method", "PUT /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n", `PUT /a?b=c body=""`},
		{"body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", `POST / body="abc"`},
		{"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", `POST / body="abc0123456789"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := converse(t, HTTPConfig{}).feed(test.input)
			_, got, _ := strings.Cut(string(c.out), "\r\n\r\n")
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestHTTPForgetsTheLastRequest(t *testing.T) {
	t.Parallel()
	c := converse(t, HTTPConfig{})
	c.feed("POST /1 HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 3\r\n\r\nabc")
	c.out = nil
	c.feed("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, got, _ := strings.Cut(string(c.out), "\r\n\r\n"); got != `GET /2 body=""` {
		t.Errorf("got %q", got)
	}
}

// Two connections of one loop share fasthttp's objects. A request that arrives
// in pieces around another one must not be mixed up with it.
func TestHTTPConnectionsDoNotMix(t *testing.T) {
	t.Parallel()
	h := NewHTTP(HTTPConfig{App: mirror})
	slow, quick := converseWith(t, h), converseWith(t, h)
	slow.feed("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab")
	quick.feed("PUT /quick HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
	slow.feed("c")
	if _, got, _ := strings.Cut(string(slow.out), "\r\n\r\n"); got != `POST /slow body="abc"` {
		t.Errorf("slow: got %q", got)
	}
	if _, got, _ := strings.Cut(string(quick.out), "\r\n\r\n"); got != `PUT /quick body=""` {
		t.Errorf("quick: got %q", got)
	}
	if slow.phase != reactor.Idle || quick.phase != reactor.Close {
		t.Errorf("phases: got %v and %v, want idle and close", slow.phase, quick.phase)
	}
}

func TestHTTPWhileDraining(t *testing.T) {
	t.Parallel()
	draining := false
	c := converse(t, HTTPConfig{Draining: func() bool { return draining }})
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

	c.feed(request)
	if c.phase != reactor.Idle || strings.Contains(string(c.out), "Connection: close") {
		t.Errorf("before the drain: phase %v, answer:\n%s", c.phase, c.out)
	}
	draining, c.out = true, nil
	c.feed(request + request + request)
	if got := c.statuses(); got != "200 200 200" {
		t.Errorf("pipelined requests: got %q, want all three answered", got)
	}
	if got := strings.Count(string(c.out), "Connection: close"); got != 1 || c.phase != reactor.Close {
		t.Errorf("got %d answers that close and phase %v, want the last one only and close", got, c.phase)
	}
}

func TestHTTPCountsAnswers(t *testing.T) {
	t.Parallel()
	count := 0
	c := converse(t, HTTPConfig{Answered: func() { count++ }})
	c.feed("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
	c.feed("xGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.feed("nonsense\r\n\r\n")
	if count != 3 {
		t.Errorf("got %d, want 3: two requests and a refusal; 100 Continue is no answer", count)
	}
}

func TestHTTPClosesAfterABrokenStream(t *testing.T) {
	t.Parallel()
	c := converse(t, HTTPConfig{App: func(ctx *fasthttp.RequestCtx) {
		ctx.Response.SetBodyStream(strings.NewReader("short"), 100)
	}})
	c.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if c.phase != reactor.Close {
		t.Errorf("got %v, want close: the client must not wait for the missing 95 bytes", c.phase)
	}
}

// A request costs fasthttp's work and no garbage of ours.
func TestHTTPAllocatesNothingPerRequest(t *testing.T) {
	c := converse(t, HTTPConfig{App: Hello{}.App(), Identity: Hello{}.Identity()}) // not parallel: it counts allocations
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nAccept: */*\r\n\r\n")
	out := make([]byte, 0, 4096)
	got := testing.AllocsPerRun(100, func() {
		if consumed, _, _ := c.handler.Handle(request, out); consumed != len(request) {
			t.Fatalf("consumed %d bytes", consumed)
		}
	})
	if got > 0 && !raceEnabled {
		t.Errorf("got %v allocations for each request, want none", got)
	}
}

// An idle connection has this of us, and nothing else.
func TestHTTPConnIsSmall(t *testing.T) {
	t.Parallel()
	if got := reflect.TypeFor[httpConn]().Size(); got > 64 {
		t.Errorf("got %d bytes, want at most 64", got)
	}
}

func BenchmarkHello(b *testing.B) {
	c := converse(b, HTTPConfig{App: Hello{}.App()})
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nAccept: */*\r\n\r\n")
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		c.handler.Handle(request, out)
	}
}

func TestHTTPUnpacksOnlyWhatItHasPacked(t *testing.T) {
	t.Parallel()
	for _, packed := range []string{"x", "pp", "p\x00"} {
		if err := converse(t, HTTPConfig{}).handler.(reactor.Portable).Unpack([]byte(packed)); err == nil {
			t.Errorf("%q was taken", packed)
		}
	}
	half := converse(t, HTTPConfig{}).feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
	if packed, ok := half.handler.(reactor.Portable).Pack(); ok {
		t.Errorf("a body that is on its way is packed to %q", packed)
	}
}
