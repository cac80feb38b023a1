package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// errandHandler answers "lend" and "compute" by an errand, and the rest as
// lineHandler does.
type errandHandler struct {
	lineHandler
	r      *rig
	errand Errand
}

func (h errandHandler) Handle(in, out []byte) (consumed int, output []byte, next Phase) {
	n := bytes.IndexByte(in, '\n') + 1
	switch string(in[:n]) {
	case "lend\n":
		h.r.loop.Lend(h.errand)
	case "compute\n":
		h.r.loop.Compute(h.errand)
	case "nothing\n":
	default:
		return h.lineHandler.Handle(in, out)
	}
	return n, out, Away
}

// newErrandRig has a loop that answers orders for errands with this one.
func newErrandRig(t *testing.T, config Config, errand Errand) *rig {
	t.Helper()
	var r *rig
	config.NewHandler = func() Handler { return errandHandler{lineHandler{&r.handled}, r, errand} }
	r = newRig(t, config)
	return r
}

// back is how an errand ends that answers and has used nothing of its input.
func back(lent *Lent, answer string) Result {
	return Result{Answer: []byte(answer), Rest: lent.Unread(), Next: Idle}
}

// gate keeps errands waiting until a test opens it. It is open at the end of the
// test, whatever that comes to.
type gate struct {
	begun atomic.Int32
	openC chan struct{}
}

func newGate(t *testing.T) *gate {
	g := &gate{openC: make(chan struct{})}
	t.Cleanup(g.open)
	return g
}

func (g *gate) open() {
	select {
	case <-g.openC:
	default:
		close(g.openC)
	}
}

func (g *gate) pass() {
	g.begun.Add(1)
	<-g.openC
}

// errand answers when the gate is open.
func (g *gate) errand(lent *Lent) Result {
	g.pass()
	return back(lent, "done\n")
}

func (r *rig) untilBegun(g *gate, count int32) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d errands have begun", count), func() bool { return g.begun.Load() >= count })
}

func TestErrandsAnswerInOrder(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"lend", "compute"} {
		r := newErrandRig(t, Config{}, func(lent *Lent) Result { return back(lent, "done\n") })
		c := r.connect()
		c.write("a\n" + order + "\nb\n" + order + "\n" + order + "\nc\n")
		c.expect("a\ndone\nb\ndone\ndone\nc\n")
		c.write("d\n")
		c.expect("d\n")
		if got := strings.Join(r.handled, " "); got != "a b c d" {
			t.Errorf("%s: handled %q, want a b c d", order, got)
		}
	}
}

func TestLoopServesOthersDuringAnErrand(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	r := newErrandRig(t, Config{}, g.errand)
	busy, other := r.connect(), r.connect()
	busy.write("lend\n")
	r.untilBegun(g, 1)
	other.write("a\n")
	other.expect("a\n")
	busy.write("later\n") // nobody reads it yet
	r.quiet()
	busy.expectOpen()
	r.pass(time.Hour) // no timeout is ours while an errand is under way
	busy.expectOpen()
	other.expectEnd()
	g.open()
	busy.expect("done\nlater\n")
}

// An errand begins when the client has taken the answers before it, or they would
// meet on the wire.
func TestErrandWaitsForAnswersBeforeIt(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.open()
	r := newErrandRig(t, Config{}, func(lent *Lent) Result {
		g.pass()
		conn, err := lent.Conn()
		if err == nil {
			_, err = conn.Write([]byte("by itself\n"))
		}
		return back(lent, fmt.Sprintf("done %v\n", err))
	})
	c := r.connect()
	c.write("big 1000000\nlend\n")
	r.quiet()
	if begun := g.begun.Load(); begun != 0 {
		t.Errorf("%d errands have begun before the answer was read", begun)
	}
	c.expect(big(1000000) + "by itself\ndone <nil>\n")
}

// An errand may read on by itself, and gives back what it has read too much.
func TestErrandUsesTheConnection(t *testing.T) {
	t.Parallel()
	const size = 300_000
	r := newErrandRig(t, Config{}, func(lent *Lent) Result {
		conn, err := lent.Conn()
		if err != nil {
			return Result{Next: Close}
		}
		body := make([]byte, size+100)
		had := copy(body, lent.Unread())
		n, _ := io.ReadAtLeast(conn, body[had:], size-had)
		return Result{Answer: []byte("read\n"), Rest: body[size : had+n], Next: Idle}
	})
	c := r.connect()
	c.write("lend\n" + strings.Repeat("x", size))
	c.expect("read\n")
	c.write("a\nlend\n" + strings.Repeat("x", size) + "b\n")
	c.expect("a\nread\nb\n")
	c.closeWrite()
	c.expectEnd()
}

func TestDrainWaitsForErrands(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	r := newErrandRig(t, Config{}, g.errand)
	c := r.connect()
	c.write("lend\n")
	r.untilBegun(g, 1)
	r.drain(0)
	r.quiet()
	c.expectOpen()
	if r.loop.drained() {
		t.Fatal("the drain has not waited for the errand")
	}
	g.open()
	c.expect("done\n")
	c.expectEnd()
	c.close()
	r.untilDrained()
}

func TestDeadlineCutsErrands(t *testing.T) {
	t.Parallel()
	g, errC := newGate(t), make(chan error, 2)
	r := newErrandRig(t, Config{}, func(lent *Lent) Result {
		conn, err := lent.Conn()
		if err != nil {
			errC <- err
			return Result{Next: Close}
		}
		g.begun.Add(1)
		_, err = conn.Read(make([]byte, 1)) // the client says nothing
		errC <- err
		<-g.openC
		return back(lent, "too late\n")
	})
	c := r.connect()
	c.write("lend\n")
	r.untilBegun(g, 1)
	r.drain(r.now + int64(time.Second))
	r.quiet()
	r.pass(2 * time.Second)
	c.expectEnd()
	if err := <-errC; err != io.EOF {
		t.Errorf("the errand has read until %v, want EOF", err)
	}
	r.untilDrained()
	g.open() // it comes home to nobody
}

// What asks for the connection too late must not get another one with its number.
func TestLentConnectionThatIsGone(t *testing.T) {
	t.Parallel()
	var pair [2]int
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	lent := &Lent{fd: int32(pair[0])}
	lent.cut()
	if _, err := lent.Conn(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
	if n, err := unix.Read(pair[1], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the client reads %d bytes, %v, want the end", n, err)
	}
}

func TestErrandPanics(t *testing.T) {
	t.Parallel()
	r := newErrandRig(t, Config{}, func(*Lent) Result { panic("as ordered") })
	for _, order := range []string{"lend", "compute"} {
		c, other := r.connect(), r.connect()
		c.write("a\n" + order + "\n")
		c.expect("a\n")
		c.expectEnd()
		other.write("b\n")
		other.expect("b\n")
	}
	if len(r.reports) != 2 {
		t.Fatalf("got reports %v, want two", r.reports)
	}
	var failure *PanicError
	if !errors.As(r.reports[0], &failure) || !bytes.Contains(failure.Stack, []byte("TestErrandPanics")) {
		t.Errorf("got %v, want the errand's panic with its stack", r.reports[0])
	}
}

func TestAwayWithoutAnErrand(t *testing.T) {
	t.Parallel()
	r := newErrandRig(t, Config{}, nil)
	c := r.connect()
	c.write("a\nnothing\n")
	c.expect("a\n")
	c.expectEnd()
	if len(r.reports) != 1 || !strings.Contains(r.reports[0].Error(), "without Lend or Compute") {
		t.Errorf("got reports %v", r.reports)
	}
}

func TestComputeIsBounded(t *testing.T) {
	t.Parallel()
	const size, count = 3, 10
	g := newGate(t)
	var running, most atomic.Int32
	r := newErrandRig(t, Config{PoolSize: size}, func(lent *Lent) Result {
		if now := running.Add(1); now > most.Load() {
			most.Store(now) // below size it may be lost, but not beyond
		}
		g.pass()
		running.Add(-1)
		return back(lent, "done\n")
	})
	clients := make([]*client, count)
	for i := range clients {
		clients[i] = r.connect()
		clients[i].write("compute\n")
	}
	r.untilBegun(g, size)
	r.quiet()
	if begun := g.begun.Load(); begun != size {
		t.Errorf("%d errands have begun at once, want %d", begun, size)
	}
	g.open()
	for _, c := range clients {
		c.expect("done\n")
	}
	if most.Load() > size {
		t.Errorf("%d errands have run at once, want %d at most", most.Load(), size)
	}
	p := &r.loop.pool
	p.mu.Lock() // who has run the last one may still be at it
	defer p.mu.Unlock()
	if p.running > size || len(p.waiting) > 0 {
		t.Errorf("afterwards %d run and %d wait", p.running, len(p.waiting))
	}
}

// A client that goes away during an errand is noticed when that ends: the poller must
// not report it for all the time in between.
func TestClientLeavesDuringAnErrand(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	r := newErrandRig(t, Config{}, g.errand)
	c := r.connect()
	c.write("lend\n")
	r.untilBegun(g, 1)
	c.close()
	r.quiet() // which would never come to an end
	if r.connections != 1 {
		t.Errorf("%d connections are open, want 1", r.connections)
	}
	g.open()
	r.until("the connection is forgotten", func() bool { return r.connections == 0 })
}

// An errand whose connection ends before it could begin is called all the same: what it
// holds must be given back.
func TestErrandOfAClosedConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.connect()
	errC := make(chan error, 1)
	c := r.loop.registry.conn(r.soleToken())
	c.needStash().trip = trip{errand: func(lent *Lent) Result { // it waits for answers before it
		_, err := lent.Conn()
		errC <- err
		return Result{Next: Close}
	}}
	c.close()
	select {
	case err := <-errC:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want %v", err, net.ErrClosed)
		}
	case <-time.After(patienceOfTests):
		t.Fatal("the errand was not called")
	}
}

// An errand that ends its goroutine costs its connection, and the pool nothing.
func TestErrandEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	r := newErrandRig(t, Config{PoolSize: 1}, func(*Lent) Result {
		runtime.Goexit()
		return Result{}
	})
	for _, order := range []string{"lend", "compute", "compute"} {
		c := r.connect()
		c.write(order + "\n")
		c.expectEnd()
	}
}

// The descriptors that connections leave free are not lent either.
func TestLentConnectionLeavesSpareDescriptors(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	lent := &Lent{fd: int32(pair[0]), spare: 1}
	if _, err := lent.Conn(); !errors.Is(err, unix.EMFILE) {
		t.Errorf("got %v, want %v", err, unix.EMFILE)
	}
}
