package conformance

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

// Understood is what a server has made of a stream of bytes: the requests that
// reached its application, in order, and its answers.
type Understood struct {
	Requests []string // see Describe
	Out      string
}

// ByNetHTTP lets net/http's server read input, followed by the end of the stream.
// A request counts once its body has been read to a good end.
func ByNetHTTP(t rapid.TB, input string) Understood {
	t.Helper()
	var u Understood
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler) // refused, if late
			}
			u.Requests = append(u.Requests, describeNetHTTP(r, body))
		}),
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0),
	}
	c := &memoryConn{in: strings.NewReader(input), closedC: make(chan struct{})}
	// It accepts one connection, and fails then; what it has accepted goes on.
	if err := server.Serve(&oneConn{conn: c}); err != io.EOF {
		t.Fatalf("serve: %v", err)
	}
	<-c.closedC
	u.Out = c.out.String()
	return u
}

func describeNetHTTP(r *http.Request, body []byte) string {
	var fields []string
	for name, values := range r.Header {
		for _, value := range values {
			fields = append(fields, field(name, value))
		}
	}
	path := r.URL.Path
	switch {
	case r.Method == http.MethodConnect, r.RequestURI == "*":
		path = "" // an authority, or none; fasthttp has another idea of what their paths are
	case path == "":
		path = "/" // of an absolute target: the same (RFC 9110, section 4.2.3)
	}
	return account{
		method: r.Method, target: r.RequestURI, host: r.Host, path: path, query: r.URL.RawQuery,
		fields: fields, body: body,
	}.String()
}

// Describe tells what a request is, in words that net/http has for it, too.
func Describe(ctx *fasthttp.RequestCtx) string {
	var fields []string
	for name, value := range ctx.Request.Header.All() {
		fields = append(fields, field(string(name), string(value)))
	}
	path := ""
	if !ctx.IsConnect() && string(ctx.RequestURI()) != "*" {
		decoded, err := url.PathUnescape(string(ctx.URI().PathOriginal()))
		path = cmp.Or(decoded, "/")
		if err != nil {
			path = err.Error()
		}
	}
	return account{
		method: string(ctx.Method()), target: string(ctx.RequestURI()), host: string(ctx.Host()),
		path: path, query: string(ctx.URI().QueryString()),
		fields: fields, body: ctx.Request.Body(),
	}.String()
}

// account is one request, in the words that both servers have for it.
type account struct {
	method, target, host, path, query string
	fields                            []string
	body                              []byte
}

func (a account) String() string {
	a.fields = slices.DeleteFunc(a.fields, func(f string) bool { return f == "" })
	slices.Sort(a.fields)
	return fmt.Sprintf("%s %q host=%q path=%q query=%q fields=%q body=%q",
		a.method, a.target, strings.ToLower(a.host), a.path, a.query, a.fields, a.body)
}

// field leaves out what the servers keep elsewhere: Host, what says where a body
// ends, and what says where the connection does.
func field(name, value string) string {
	name = http.CanonicalHeaderKey(name)
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection":
		return ""
	case "Pragma", "Cache-Control":
		return "" // net/http makes one of the other
	case "Cookie":
		return "" // fasthttp makes pairs of it
	}
	return name + ": " + value
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn net.Conn
	once sync.Once
}

func (l *oneConn) Accept() (c net.Conn, err error) {
	err = io.EOF
	l.once.Do(func() { c, err = l.conn, nil })
	return c, err
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return memoryAddr{} }

// memoryConn is a connection whose client has said all it has to say.
type memoryConn struct {
	mutex   sync.Mutex
	in      io.Reader
	out     bytes.Buffer
	once    sync.Once
	closedC chan struct{}
}

func (c *memoryConn) Read(p []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.in.Read(p)
}

func (c *memoryConn) Write(p []byte) (int, error) { return c.out.Write(p) }

func (c *memoryConn) Close() error {
	c.once.Do(func() { close(c.closedC) })
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr              { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return memoryAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }
