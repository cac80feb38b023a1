package goroutines

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is long enough for any machine: a limit that is reached is a failure.
const patience = time.Minute

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// rig is an engine on a real socket, and what it says.
type rig struct {
	*Engine
	address string
	listen  int
	client  *tls.Config   // nil: no TLS
	ended   chan error    // what Run returned
	leftC   chan struct{} // closed when left was called

	answeredN   atomic.Int64
	accepted    atomic.Int64
	helped      atomic.Int64
	connections atomic.Int64
	beats       atomic.Int64

	given, taken, finished, cut atomic.Int64

	mu      sync.Mutex
	reports []error
}

// newRig prepares an engine that is not running yet; its queue takes connections.
func newRig(t testing.TB, config Config) *rig {
	t.Helper()
	r := &rig{ended: make(chan error, 1), leftC: make(chan struct{})}
	config.Answered = func() { r.answeredN.Add(1) }
	config.Accepted = func(n int) { r.accepted.Add(int64(n)) }
	config.Helped = func(n int) { r.helped.Add(int64(n)) }
	config.Connections = func(n int) { r.connections.Store(int64(n)) }
	config.Given = func(n int) { r.given.Add(int64(n)) }
	config.Taken = func(n int) { r.taken.Add(int64(n)) }
	config.Finished = func(n int) { r.finished.Add(int64(n)) }
	config.Cut = func(n int) { r.cut.Add(int64(n)) }
	config.Beat = func(int64) { r.beats.Add(1) }
	config.Report = func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reports = append(r.reports, err)
	}
	if config.Handler == nil {
		config.Handler = http.HandlerFunc(mirror)
	}
	if config.TLS == nil && overTLS() {
		c := newCredentials(t)
		config.TLS, r.client = c.server, c.client
	}
	var err error
	r.Engine, err = New(config)
	must(t, err)
	r.listen, r.address = listenTCP(t)
	must(t, r.Listen(r.listen))
	return r
}

// run starts the engine. The end of the test drains it at once.
func (r *rig) run(t testing.TB) *rig {
	t.Helper()
	go func() { r.ended <- r.Run() }()
	t.Cleanup(func() {
		r.Drain(1, nil) // long past
		r.wait(t)
		if n := r.connections.Load(); n != 0 {
			t.Errorf("%d connections are open after the end", n)
		}
	})
	return r
}

func serve(t testing.TB, config Config) *rig {
	t.Helper()
	return newRig(t, config).run(t)
}

// wait waits for the end of Run; any number of times.
func (r *rig) wait(t testing.TB) {
	t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		must(t, err)
	case <-time.After(patience):
		t.Fatal("the engine does not end")
	}
}

// drain begins a drain and waits until the queue is empty.
func (r *rig) drain(t testing.TB) {
	t.Helper()
	r.Drain(0, func() { close(r.leftC) })
	r.left(t)
}

func (r *rig) left(t testing.TB) {
	t.Helper()
	select {
	case <-r.leftC:
	case <-time.After(patience):
		t.Fatal("left was not called")
	}
}

func (r *rig) reported() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.reports...)
}

// resting waits until n connections wait for their next request.
func (r *rig) resting(t testing.TB, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d connections rest", n), func() bool {
		count := 0
		for _, c := range r.open() {
			c.mu.Lock()
			if c.resting {
				count++
			}
			c.mu.Unlock()
		}
		return count == n
	})
}

// client is the other end of a connection.
type client struct {
	net.Conn
	t    testing.TB
	read *bufio.Reader
}

func (r *rig) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", r.address, patience)
	must(t, err)
	return r.newClient(t, c)
}

// newClient speaks TLS if the engine does.
func (r *rig) newClient(t testing.TB, c net.Conn) *client {
	t.Helper()
	if r.client != nil {
		c = tls.Client(c, r.client)
	}
	return newClient(t, c)
}

func newClient(t testing.TB, c net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return &client{Conn: c, t: t, read: bufio.NewReader(c)}
}

func (c *client) write(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	must(c.t, err)
}

// answer reads one answer whole.
func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	response, err := http.ReadResponse(c.read, nil)
	must(c.t, err)
	body, err := io.ReadAll(response.Body)
	must(c.t, err)
	return response, string(body)
}

// expect reads an answer and checks its status and body.
func (c *client) expect(status int, body string) *http.Response {
	c.t.Helper()
	response, got := c.answer()
	if response.StatusCode != status || got != body {
		c.t.Fatalf("answer is %d %.80q, want %d %.80q", response.StatusCode, got, status, body)
	}
	return response
}

// expectLast checks that an answer says so, and that the connection ends with it.
func (c *client) expectLast(status int, body string) {
	c.t.Helper()
	if !c.expect(status, body).Close {
		c.t.Error("the answer does not say that it is the last one")
	}
	c.expectEnd()
}

// expectEnd waits for an end without a reset and closes.
func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.read); err != nil || len(rest) > 0 {
		c.t.Errorf("got %.80q, %v, want the end", rest, err)
	}
	must(c.t, c.Close())
}

// mirror answers with what it was asked.
func mirror(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	fmt.Fprintf(w, "%s %s %q", r.Method, r.URL.Path, body)
}

// mirrored is the answer to get.
const mirrored = `GET / ""`

func listenTCP(t testing.TB) (fd int, address string) {
	t.Helper()
	fd, address, err := listenAnywhere()
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd, address
}

func listenAnywhere() (fd int, address string, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, "", err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, "", err
	}
	if err := unix.Listen(fd, 1024); err != nil {
		return -1, "", err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return -1, "", err
	}
	return fd, fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port), nil
}

func listenUnix(t testing.TB) (fd int, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	path = filepath.Join(t.TempDir(), "s")
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	must(t, unix.Listen(fd, 64))
	return fd, path
}

// until polls what nothing announces.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

func post(length int, body string) string {
	return fmt.Sprintf("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", length, body)
}

func chunked(chunks ...string) string {
	var text strings.Builder
	text.WriteString("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, chunk := range chunks {
		fmt.Fprintf(&text, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	return text.String() + "0\r\n\r\n"
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
