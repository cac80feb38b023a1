package reactor

import (
	"strings"
	"testing"
	"time"
)

// slack is how late a deadline may be: it is rounded up once for the grain and
// once for the wheel.
const slack = deadlineGrain + wheelTick

var testTimeouts = Config{
	IdleTimeout:   40 * time.Second,
	HeaderTimeout: 10 * time.Second,
	BodyTimeout:   20 * time.Second,
	WriteTimeout:  30 * time.Second,
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(c *client)
		timeout time.Duration
	}{
		{"first message never comes", func(*client) {}, 10 * time.Second},
		{"header is never complete", func(c *client) { c.write("a\nb"); c.expect("a\n") }, 10 * time.Second},
		{"body is never complete", func(c *client) { c.write("body") }, 20 * time.Second},
		{"idle", func(c *client) { c.write("a\n"); c.expect("a\n") }, 40 * time.Second},
		{"idle again after a long wait", func(c *client) {
			c.write("a\n")
			c.expect("a\n")
			c.r.pass(35 * time.Second)
			c.write("b\n")
			c.expect("b\n")
		}, 40 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testTimeouts)
			c := r.connect()
			test.prepare(c)
			r.quiet()
			r.pass(test.timeout - time.Second)
			c.expectOpen()
			r.pass(time.Second + slack)
			c.expectEnd()
		})
	}
}

// Bytes that come slowly do not buy time.
func TestDrippingClientGetsNoMoreTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, first string
		timeout     time.Duration
	}{
		{"header", "x", 10 * time.Second},
		{"body", "body", 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testTimeouts)
			c := r.connect()
			c.write(test.first)
			r.quiet()
			for passed := time.Second; passed < test.timeout; passed += time.Second {
				r.pass(time.Second)
				c.write("x")
				r.quiet()
				c.expectOpen()
			}
			r.pass(time.Second + slack)
			c.expectEnd()
		})
	}
}

// The time to take an answer is counted from the last byte that was taken.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t, testTimeouts)
	c := r.connect()
	c.write("big 1000000\n")
	r.quiet()
	r.pass(25 * time.Second)
	if r.connections != 1 {
		t.Fatal("closed before the timeout")
	}
	// Taking some of it starts the time anew.
	before := r.loop.now
	r.until("the loop could write more", func() bool {
		c.poll()
		return c.received.Len() > 500000
	})
	r.quiet()
	r.pass(25 * time.Second)
	if r.connections != 1 {
		t.Fatalf("closed although %v ago the client took something", time.Duration(r.loop.now-before))
	}
	r.pass(6*time.Second + slack)
	if r.connections != 0 {
		t.Error("open although the client takes nothing")
	}
}

func TestLingerIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, testTimeouts)
	c := r.connect()
	c.write("close\n" + strings.Repeat("x", 100))
	c.expect("bye\n")
	c.expectEnd()
	r.pass(lingerTime / 2)
	c.write("still talking") // buys no time
	r.quiet()
	if r.connections != 1 {
		t.Fatal("closed before the time to linger was over")
	}
	r.pass(lingerTime/2 + slack)
	if r.connections != 0 {
		t.Error("the connection lingers for ever")
	}
}

// A request that crosses with the idle timeout is answered if it was there.
func TestRequestCrossesIdleTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t, testTimeouts)
	c := r.connect()
	c.write("a\n")
	c.expect("a\n")
	r.quiet()
	r.now += int64(41 * time.Second)
	c.offer([]byte("b\n")) // no turn between the two
	c.expect("b\n")
	r.pass(39 * time.Second)
	c.expectOpen()
	r.pass(time.Second + slack)
	c.expectEnd()
}

// What the kernel noted for a connection that has been closed since must not
// reach the one that has got its place.
func TestStaleEventIsHarmless(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	first := r.connect()
	stale := r.soleToken()
	first.close()
	r.until("the first is forgotten", func() bool { return r.connections == 0 })

	second := r.connect()
	r.quiet()
	token := r.soleToken()
	if uint32(stale) != uint32(token) || stale == token {
		t.Fatalf("tokens %x and %x: the second connection should have the place of the first, in a new generation", stale, token)
	}
	second.offer([]byte("a\n"))
	r.loop.dispatch([]Token{stale})
	r.loop.acceptNext([]Token{stale})
	if len(r.handled) != 0 {
		t.Fatal("the stale event was taken for one of the new connection")
	}
	r.poller.invented = []Token{stale, stale, TokenMax, token + 1}
	second.expect("a\n")

	// A turn on the again list can become stale in the same way.
	r.loop.again = append(r.loop.again, stale)
	r.quiet()
	second.expectOpen()
}

// soleToken is the token of the only connection.
func (r *rig) soleToken() Token {
	r.t.Helper()
	var tokens []Token
	for c := range r.loop.registry.conns.all() {
		tokens = append(tokens, c.token)
	}
	if len(tokens) != 1 {
		r.t.Fatalf("got %d connections, want one", len(tokens))
	}
	return tokens[0]
}

func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	c.write("half")
	r.quiet()
	conn := r.loop.registry.conn(r.soleToken())
	if kept := cap(conn.unread()); kept != bufferSize {
		t.Fatalf("half a message is kept in %d bytes, want one buffer of %d", kept, bufferSize)
	}
	c.write(" a line\n")
	c.expect("half a line\n")
	if conn.stash != nil {
		t.Errorf("an idle connection has in hand %+v, want nothing", conn.stash)
	}
	if kept := len(r.loop.buffers.free); kept != 1 {
		t.Errorf("%d buffers wait to be used again, want 1", kept)
	}
	// Nor do long messages and long answers stay.
	c.write(strings.Repeat("x", 10*bufferSize) + "\n")
	c.expect(strings.Repeat("x", 10*bufferSize) + "\n")
	c.write("big 1000000\n")
	c.expect(big(1000000))
	if conn.stash != nil || cap(r.loop.output) > outputKeptMax {
		t.Errorf("kept after long messages: %+v, the loop's output %d", conn.stash, cap(r.loop.output))
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	for range 3 {
		c := r.connect()
		c.write("a\n")
		c.expect("a\n")
		c.close()
		r.until("the connection is forgotten", func() bool { return r.connections == 0 })
	}
	if pending := r.loop.wheel.pending(); pending != 0 {
		t.Errorf("%d timers of closed connections are pending", pending)
	}
	if len(r.loop.freeConns) != 1 || r.loop.registry.conns.made != 1 {
		t.Errorf("got %d free connections and %d entries, want 1 of each", len(r.loop.freeConns), r.loop.registry.conns.made)
	}
}
