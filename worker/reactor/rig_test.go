package reactor

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	patienceOfTests = time.Minute
	// pollOfTests is how long a turn of a rig may wait. It only bounds how
	// often until looks at its condition.
	pollOfTests = 5 * time.Millisecond
	// socketBuffer is small, so that a few hundred kilobytes are more than the
	// kernel takes for a client that does not read.
	socketBuffer = 32 << 10
)

// rig is a loop whose turns and whose clock a test drives by hand, with real
// sockets. Nothing in it runs at the same time as the test.
type rig struct {
	t      testing.TB
	loop   *Loop
	poller *rigPoller
	listen int   // a listening socket in the loop
	now    int64 // what the loop's clock says: time passes only by pass
	ended  bool

	handled     []string // every message a handler has seen
	reports     []error
	accepted    int
	helped      int
	connections int
	beats       int

	given, taken, finished, cut int

	beside []*rig // loops that turn and sleep whenever this one does
}

// rigPoller is epoll without long waits, and with events that a test invents.
type rigPoller struct {
	Poller
	timeout  time.Duration
	invented []Token
	last     int // events of the last Wait
	wakes    int
	added    int
	full     error // why it takes no connections; nil: it does
}

func (p *rigPoller) Add(fd int, token Token, interest Interest) error {
	if p.full != nil && interest&Exclusive == 0 {
		return p.full
	}
	p.added++
	return p.Poller.Add(fd, token, interest)
}

func (p *rigPoller) Wake() error {
	p.wakes++
	return p.Poller.Wake()
}

func (p *rigPoller) Wait(ready []Token, timeout time.Duration) (int, error) {
	invented := copy(ready, p.invented)
	p.invented = nil
	n, err := p.Poller.Wait(ready[invented:], min(timeout, p.timeout))
	p.last = invented + n
	return p.last, err
}

func newRig(t testing.TB, config Config) *rig {
	t.Helper()
	r := &rig{t: t}
	epoll, err := newEpoll(false)
	must(t, err)
	r.poller = &rigPoller{Poller: epoll}
	config.Poller = r.poller
	if config.NewHandler == nil && config.Taker == nil {
		config.NewHandler = func() Handler { return lineHandler{&r.handled} }
	}
	config.Report = func(err error) { r.reports = append(r.reports, err) }
	config.Accepted = func(n int) { r.accepted += n }
	config.Helped = func(n int) { r.helped += n }
	config.Connections = func(n int) { r.connections = n }
	config.Beat = func(int64) { r.beats++ }
	config.Given = func(n int) { r.given += n }
	config.Taken = func(n int) { r.taken += n }
	config.Finished = func(n int) { r.finished += n }
	config.Cut = func(n int) { r.cut += n }
	r.loop, err = New(config)
	must(t, err)
	r.now = r.loop.now
	r.loop.clock = func() int64 { return r.now }
	r.listen = listenTCP(t)
	must(t, r.loop.Listen(r.listen))
	t.Cleanup(r.close)
	return r
}

func (r *rig) close() {
	if !r.ended {
		r.ended = true
		must(r.t, r.loop.Close())
	}
	if r.connections != 0 {
		r.t.Errorf("%d connections are open after the end", r.connections)
	}
}

func (r *rig) turn() {
	r.t.Helper()
	if !r.ended {
		must(r.t, r.loop.turn())
	}
	for _, other := range r.beside {
		other.poller.timeout = 0
		other.turn()
	}
}

// busy says that the last turn, or the one to come, has something to do.
func (r *rig) busy() bool {
	busy := !r.ended && (r.poller.last > 0 || r.loop.patience() == 0)
	for _, other := range r.beside {
		busy = other.busy() || busy
	}
	return busy
}

// quiet turns until nothing is left to do.
func (r *rig) quiet() {
	r.t.Helper()
	r.poller.timeout = 0
	for r.turn(); r.busy(); r.turn() {
	}
}

// until turns until the condition holds.
func (r *rig) until(what string, condition func() bool) {
	r.t.Helper()
	r.poller.timeout = pollOfTests
	if len(r.beside) > 0 { // who waits for this one, the others would wait for
		r.poller.timeout = 0
	}
	for end := time.Now().Add(patienceOfTests); !condition(); r.turn() {
		if time.Now().After(end) {
			r.t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// pass moves the loop's clock and lets it do what is due.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	r.now += int64(d)
	for _, other := range r.beside {
		other.now += int64(d)
	}
	r.quiet()
}

// drain begins a drain and returns whether left was called, for later.
func (r *rig) drain(deadline int64) *int {
	r.t.Helper()
	left := new(int)
	r.loop.Drain(deadline, func() { *left++ })
	return left
}

// untilDrained runs the loop to its end.
func (r *rig) untilDrained() {
	r.t.Helper()
	r.until("the loop is drained", r.loop.drained)
	r.close()
}

// client is the other end of a connection, on a raw non-blocking socket: it
// sees every error that a real client would.
type client struct {
	r        *rig
	fd       int
	received strings.Builder
	end      error // why there is no more to read: unix.Errno, or errEnd
}

type endOfStream struct{}

func (endOfStream) Error() string { return "end of stream" }

var errEnd error = endOfStream{}

// connect returns when the loop has accepted the connection.
func (r *rig) connect() *client {
	r.t.Helper()
	before := r.accepted
	c := r.dial()
	r.until("the connection is accepted", func() bool { return r.accepted > before })
	return c
}

// dial leaves the connection in the accept queue.
func (r *rig) dial() *client {
	r.t.Helper()
	return r.dialTo(r.listen)
}

// dialTo leaves the connection in the queue of another listening socket.
func (r *rig) dialTo(listening int) *client {
	r.t.Helper()
	address, err := unix.Getsockname(listening)
	must(r.t, err)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(r.t, err)
	c := &client{r: r, fd: fd}
	r.t.Cleanup(c.close)
	shrinkBuffers(r.t, fd)
	must(r.t, unix.Connect(fd, address)) // the handshake needs no accept
	must(r.t, unix.SetNonblock(fd, true))
	return c
}

func (c *client) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// write sends all of data, giving the loop turns when it does not fit.
func (c *client) write(data string) {
	c.r.t.Helper()
	rest := []byte(data)
	c.r.until("the client has written", func() bool {
		rest = rest[c.offer(rest):]
		return len(rest) == 0
	})
}

// offer writes what the socket takes.
func (c *client) offer(data []byte) int {
	n, err := unix.Write(c.fd, data)
	if err != nil && err != unix.EAGAIN {
		c.r.t.Fatalf("client's write: %v", err)
	}
	return max(n, 0)
}

func (c *client) closeWrite() {
	c.r.t.Helper()
	must(c.r.t, unix.Shutdown(c.fd, unix.SHUT_WR))
}

// poll reads what is there.
func (c *client) poll() {
	buffer := make([]byte, 64<<10)
	for c.end == nil {
		n, err := unix.Read(c.fd, buffer)
		switch {
		case n > 0:
			c.received.Write(buffer[:n])
		case err == unix.EAGAIN:
			return
		case err == nil:
			c.end = errEnd
		default:
			c.end = err
		}
	}
}

// expect waits until the client has received exactly want since the last time.
func (c *client) expect(want string) {
	c.r.t.Helper()
	c.r.until(fmt.Sprintf("the client has received %.40q", want), func() bool {
		c.poll()
		return c.received.Len() >= len(want) || c.end != nil
	})
	if got := c.received.String(); got != want {
		c.r.t.Fatalf("got %d bytes %.80q (then %v), want %d bytes %.80q", len(got), got, c.end, len(want), want)
	}
	c.received.Reset()
}

// expectEnd waits for an orderly end, with nothing before it.
func (c *client) expectEnd() {
	c.r.t.Helper()
	c.r.until("the connection ends", func() bool {
		c.poll()
		return c.end != nil
	})
	if c.end != errEnd || c.received.Len() > 0 {
		c.r.t.Fatalf("got %q and %v, want an orderly end", c.received.String(), c.end)
	}
}

// expectOpen says that neither bytes nor an end have come.
func (c *client) expectOpen() {
	c.r.t.Helper()
	c.poll()
	if c.end != nil || c.received.Len() > 0 {
		c.r.t.Fatalf("got %q and %v, want an open and silent connection", c.received.String(), c.end)
	}
}

// lineHandler is a protocol for tests: a message is a line, and its answer the
// same line, unless it is one of the orders below.
type lineHandler struct{ handled *[]string }

func (h lineHandler) Handle(in, out []byte) (consumed int, output []byte, next Phase) {
	n := bytes.IndexByte(in, '\n') + 1
	if n == 0 && bytes.HasPrefix(in, []byte("body")) {
		return 0, out, Body
	}
	if n == 0 {
		return 0, out, Header
	}
	line := string(in[:n-1])
	*h.handled = append(*h.handled, line)
	order, argument, _ := strings.Cut(line, " ")
	switch order {
	case "close":
		return n, append(out, "bye\n"...), Close
	case "panic":
		panic("as ordered")
	case "lie":
		return len(in) + 1, append(out, "lie\n"...), Idle
	case "silence":
		return n, out, Idle
	case "big":
		argument, _, _ = strings.Cut(argument, " ")
		size, _ := strconv.Atoi(argument)
		return n, append(out, big(size)...), Idle
	}
	return n, append(out, in[:n]...), Idle
}

// big is the answer to "big size", or "big size and whatever".
func big(size int) string { return strings.Repeat("x", size) + "\n" }

func listenTCP(t testing.TB) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	shrinkBuffers(t, fd) // accepted sockets inherit it
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.Listen(fd, 4096))
	return fd
}

func shrinkBuffers(t testing.TB, fd int) {
	t.Helper()
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer))
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
