package goroutines

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A drain in the middle of a request, wherever that is: it is answered, the answer
// says that it is the last, and the connection ends without a reset.
func TestDrainFinishesHalfReadRequests(t *testing.T) {
	t.Parallel()
	text := post(4, "body")
	for _, test := range []struct {
		name   string
		before string // sent first, in a segment of its own
		joined string // sent in one segment with the first half
	}{
		{name: "first request"},
		{name: "second request", before: get},
		{name: "after a body", before: post(3, "abc")},
		{name: "read ahead with the first", joined: get},
		{name: "read ahead behind a body", joined: post(3, "abc")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, Config{})
			var conns []*client
			for cut := 1; cut < len(text); cut++ {
				c := r.dial(t)
				if test.before != "" {
					c.write(test.before)
					c.answer()
				}
				c.write(test.joined + text[:cut])
				if test.joined != "" {
					c.answer()
				}
				conns = append(conns, c)
			}
			r.drain(t)
			for i, c := range conns {
				c.write(text[i+1:])
				c.expectLast(200, `POST /x "body"`)
			}
			r.wait(t)
		})
	}
}

// A connection that was opened before the drain gets its first request answered,
// however late it comes.
func TestDrainWaitsForFirstRequest(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{})
	c := r.dial(t)
	until(t, "it is accepted", func() bool { return r.accepted.Load() == 1 })
	r.drain(t)
	c.write(get)
	c.expectLast(200, mirrored)
	r.wait(t)
}

// What waits in the queue when the drain begins is served, the sockets of Unix
// included, whose queue cannot be counted.
func TestDrainEmptiesTheQueues(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd, path := listenUnix(t)
	must(t, r.Listen(fd))
	var conns []*client
	for range 20 {
		c, err := net.Dial("unix", path)
		must(t, err)
		conns = append(conns, r.dial(t), newClient(t, c))
	}
	for _, c := range conns {
		c.write(get) // or it might not have come to the queue yet
	}
	r.Drain(0, func() { close(r.leftC) })
	r.run(t)
	r.left(t)
	for _, c := range conns {
		c.expectLast(200, mirrored)
	}
	r.wait(t)
	if got := r.accepted.Load(); got != 40 {
		t.Errorf("%d accepted, want 40", got)
	}
}

// An idle client sees an orderly end, even if it sends at the same moment.
func TestDrainClosesIdleWithoutReset(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{})
	c, late := r.dial(t), r.dial(t)
	for _, c := range []*client{c, late} {
		c.write(get)
		c.expect(200, mirrored)
	}
	r.resting(t, 2)
	r.drain(t)
	_, err := late.read.Peek(1) // the end has come
	if err != io.EOF {
		t.Errorf("peek: %v, want the end", err)
	}
	late.write(get) // it had not noticed
	late.expectEnd()
	c.expectEnd()
	r.wait(t)
}

// While draining, we end a conversation that the client may want to go on with:
// what it sends after the last answer must not be met by a reset.
func TestDrainLingersAfterTheLastAnswer(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{})
	c := r.dial(t)
	until(t, "it is accepted", func() bool { return r.accepted.Load() == 1 })
	r.drain(t)
	c.write(get)
	c.expect(200, mirrored)
	if _, err := c.read.Peek(1); err != io.EOF {
		t.Errorf("peek: %v, want the end", err)
	}
	if n := len(r.open()); n != 1 {
		t.Errorf("%d connections are open, want 1 that lingers", n)
	}
	c.expectEnd()
	r.wait(t)
}

// Requests that cross a drain are answered or meet an orderly end, never a reset.
func TestDrainMeetsRequests(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{})
	conns := make([]*client, 100)
	for i := range conns {
		conns[i] = r.dial(t)
		conns[i].write(get)
		conns[i].expect(200, mirrored)
	}
	var crossing sync.WaitGroup
	for _, c := range conns {
		crossing.Go(func() {
			if _, err := io.WriteString(c, get); err != nil {
				t.Errorf("write: %v", err)
			}
		})
	}
	r.Drain(0, nil)
	crossing.Wait()
	answered := 0
	for _, c := range conns {
		if _, err := c.read.Peek(1); err == nil {
			answered++
			c.expect(200, mirrored)
		}
		c.expectEnd()
	}
	t.Logf("%d of %d were answered", answered, len(conns))
	r.wait(t)
}

// A request that was there before the drain looked is answered: the kernel has it,
// net/http has not read it yet.
func TestDrainAnswersWhatHasArrived(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{})
	c := r.dial(t)
	c.write(get)
	c.expect(200, mirrored)
	r.resting(t, 1)
	server := r.open()[0]
	// The runtime may wake the reader before the deadline does; both ways lead to
	// an answer.
	server.mu.Lock()
	c.write(get)
	must(t, server.file.SetReadDeadline(time.Unix(1, 0)))
	server.mu.Unlock()
	c.expect(200, mirrored)
}

// A read of one byte is never a rest, whatever the phase: net/http starts it, beside
// the handler, before the request reaches us.
func TestReadBesideTheHandlerIsNoRest(t *testing.T) {
	t.Parallel()
	for _, before := range []phase{header, idle, busy, hijacked} {
		c := &conn{phase: before, room: 4096, got: 1 << 20}
		if got := c.beginRead(1); got != busy || c.resting || c.phase != before {
			t.Errorf("in phase %d: read as phase %d, resting %v", before, got, c.resting)
		}
	}
}

// gate is a handler that tells when it was entered and goes on when it is opened.
type gate struct {
	entered chan struct{}
	opened  chan struct{}
	before  func(http.ResponseWriter)
}

func newGate() *gate {
	return &gate{entered: make(chan struct{}, 10), opened: make(chan struct{})}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		mirror(w, r)
		return
	}
	if g.before != nil {
		g.before(w)
	}
	g.entered <- struct{}{}
	<-g.opened
	_, _ = io.WriteString(w, "through") // some tests have cut it short
}

const getGate = "GET /gate HTTP/1.1\r\nHost: a\r\n\r\n"

// A client whose request is under way when the drain begins is told.
func TestDrainIsToldToRequestsUnderWay(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := serve(t, Config{Handler: g})
	c := r.dial(t)
	c.write(getGate)
	<-g.entered
	r.drain(t)
	close(g.opened)
	c.expectLast(200, "through")
	r.wait(t)
}

// Where it is too late to tell, the next request is answered if it is there.
func TestDrainAfterTheHeaderWasSent(t *testing.T) {
	t.Parallel()
	g := newGate()
	g.before = func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "7")
		w.(http.Flusher).Flush()
	}
	r := serve(t, Config{Handler: g})
	c, other := r.dial(t), r.dial(t)
	for _, c := range []*client{c, other} {
		c.write(getGate)
		<-g.entered
	}
	r.drain(t)
	c.write(get)
	close(g.opened)
	if c.expect(200, "through").Close {
		t.Error("the first answer says that it is the last, but its header was sent before the drain")
	}
	c.expectLast(200, mirrored)
	other.expect(200, "through")
	other.expectEnd()
	r.wait(t)
}

// At the deadline connections end, also those of handlers that do not; what those
// do later concerns nobody.
func TestDeadlineCutsShort(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := serve(t, Config{Handler: g})
	working, half := r.dial(t), r.dial(t)
	working.write(getGate)
	half.write("GET / HT")
	<-g.entered
	until(t, "both are accepted", func() bool { return r.accepted.Load() == 2 })
	r.drain(t)
	r.Drain(monotonic(t)+int64(10*time.Millisecond), nil) // a second one, nearer
	r.wait(t)
	for _, c := range []*client{working, half} {
		if _, err := c.read.Peek(1); err == nil {
			t.Error("an answer came, want the end")
		}
	}
	close(g.opened)
	r.answered() // as the handler will
	r.report(io.EOF)
	if got := r.answeredN.Load(); got != 0 || len(r.reported()) != 0 {
		t.Errorf("after the end %d answers are counted and %v reported, want nothing", got, r.reported())
	}
}

// Drains repeat, and each left is called.
func TestDrainTwice(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{})
	c := r.dial(t)
	c.write("GET / HT")
	until(t, "it is accepted", func() bool { return r.accepted.Load() == 1 })
	again := make(chan struct{})
	r.drain(t)
	r.Drain(0, func() { close(again) })
	<-again
	c.write("TP/1.1\r\nHost: a\r\n\r\n")
	c.expectLast(200, mirrored)
	r.wait(t)
	r.Drain(0, nil) // after the end: nothing
	if err := r.Post(func() {}); err == nil {
		t.Error("post after the end: no error")
	}
}

// The heart beats while nothing comes, while handlers are busy, and while a drain
// waits for them; it stands still with the accept loop.
func TestBeatFollowsTheAcceptLoop(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := serve(t, Config{Handler: g})
	beats := func(what string) {
		t.Helper()
		before := r.beats.Load()
		until(t, "a beat "+what, func() bool { return r.beats.Load() > before+1 })
	}
	beats("in idleness")
	c := r.dial(t)
	c.write(getGate)
	<-g.entered
	beats("beside a busy handler")

	stuck, release := make(chan struct{}), make(chan struct{})
	must(t, r.Post(func() { close(stuck); <-release }))
	<-stuck
	before := r.beats.Load()
	other := r.dial(t)
	other.write(get)
	must(t, other.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if _, err := other.read.Peek(1); err == nil {
		t.Error("an answer from an accept loop that stands still")
	}
	if got := r.beats.Load(); got != before {
		t.Errorf("%d beats of an accept loop that stands still", got-before)
	}
	close(release)
	must(t, other.SetReadDeadline(time.Now().Add(patience)))
	other.expect(200, mirrored)

	r.drain(t)
	other.expectEnd()
	beats("while draining")
	close(g.opened)
	c.expectLast(200, "through")
}

func TestNewNeedsAHandler(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("no error")
	}
}

func TestCloseWithoutRun(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Handler: http.NotFoundHandler()})
	must(t, err)
	must(t, e.Close())
	if err := e.Post(func() {}); err == nil {
		t.Error("post after close: no error")
	}
}

func monotonic(t testing.TB) int64 {
	t.Helper()
	var now unix.Timespec
	must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return now.Nano()
}
