package reactor

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A connection whose messages are there when it is accepted, and that ends with the
// answer, never meets the poller.
func TestFirstReadFollowsAccept(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("a\n", messagesPerTurnMax+5)
	for _, test := range []struct {
		name, sent, want string
		halfClose        bool
		added            int // registrations with the poller
		open             int // connections afterwards
	}{
		{name: "short", sent: "close\n", want: "bye\n"},
		{name: "short, after others", sent: "a\nclose\n", want: "a\nbye\n"},
		{name: "with its end", sent: "a\n", want: "a\n", halfClose: true, added: 1},
		{name: "nothing but its end", halfClose: true},
		{name: "more than a turn answers, with its end", sent: many, want: many, halfClose: true, added: 1},
		{name: "unread input", sent: "close\nb\n", want: "bye\n", added: 1, open: 1}, // it lingers
		{name: "stays open", sent: "a\n", want: "a\n", added: 1, open: 1},
		{name: "half a message", sent: "a\nb", want: "a\n", added: 1, open: 1},
		{name: "silent", added: 1, open: 1},
		{name: "longer than the kernel takes", sent: "big 1000000\nclose\n", want: big(1000000) + "bye\n", added: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{})
			c := r.dial()
			c.write(test.sent)
			if test.halfClose {
				c.closeWrite()
			}
			before := r.poller.added
			r.quiet()
			c.expect(test.want)
			r.quiet()
			if added := r.poller.added - before; added != test.added || r.connections != test.open {
				t.Errorf("%d registrations and %d open connections, want %d and %d", added, r.connections, test.added, test.open)
			}
		})
	}
}

// While a handler runs, its worker has no other new connection in its hands, and
// what it has is counted.
func TestOneNewConnectionAtATime(t *testing.T) {
	t.Parallel()
	var r *rig
	handled := 0
	r = newRig(t, Config{NewHandler: func() Handler {
		return handlerFunc(func(in, out []byte) (int, []byte, Phase) {
			handled++
			if r.accepted != handled || r.connections != 1 {
				t.Errorf("%d are accepted and %d are open while number %d is handled", r.accepted, r.connections, handled)
			}
			return len(in), append(out, in...), Close
		})
	}})
	clients := make([]*client, 10)
	for i := range clients {
		clients[i] = r.dial()
		clients[i].offer([]byte("a\n"))
	}
	for _, c := range clients {
		c.expect("a\n")
		c.expectEnd()
	}
}

// A handler may have its loop accept. What it is reading and writing is not lent
// to anybody else meanwhile.
func TestAcceptWithinHandler(t *testing.T) {
	t.Parallel()
	var r *rig
	theirs := listenTCP(t)
	r = newRig(t, Config{NewHandler: func() Handler {
		return handlerFunc(func(in, out []byte) (int, []byte, Phase) {
			out = append(out, "before "...)
			if string(in) == "again\n" {
				r.help(neighbour, copyOf(t, theirs)) // accepts the one that waits
			}
			return len(in), append(out, in...), Idle
		})
	}})
	r.help(neighbour, copyOf(t, theirs))
	c := r.connect()
	r.quiet()
	other := r.dialTo(theirs)
	other.offer([]byte("other\n"))
	c.offer([]byte("again\n"))
	// Accepting comes first in a turn, and would come before the handler.
	r.loop.dispatch([]Token{r.soleToken()})
	r.expectCounts(2, 1)
	c.expect("before again\n")
	other.expect("before other\n")
}

// Whose poller takes no more connections serves those that need none, rests, and
// says so once.
func TestPollerIsFull(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.poller.full = unix.ENOSPC // epoll_ctl(2): the limit on watches of a user
	short := r.dial()
	short.write("close\n")
	short.expect("bye\n")
	short.expectEnd()
	silent := r.dial()
	r.quiet()
	silent.expectEnd()
	answered := r.dial()
	answered.write("a\n")
	r.pass(acceptPause + wheelTick)
	answered.expect("a\n")
	answered.expectEnd()
	var report *AcceptError
	if len(r.reports) != 1 || !errors.As(r.reports[0], &report) || !report.Paused || !errors.Is(report, unix.ENOSPC) {
		t.Errorf("got reports %v, want one of a pause and ENOSPC", r.reports)
	}

	r.poller.full = nil
	r.pass(acceptPause + wheelTick)
	c := r.connect()
	c.write("a\n")
	c.expect("a\n")
	if r.loop.listeners[0].paused() {
		t.Error("accepting pauses although the poller takes connections again")
	}
}

// A handler that replaces the socket that its connection came from, which the
// poller does not take: nothing comes back to a socket that has gone.
func TestPollerIsFullForReplacedSocket(t *testing.T) {
	t.Parallel()
	theirs := listenTCP(t)
	var r *rig
	r = newRig(t, Config{NewHandler: func() Handler {
		return handlerFunc(func(in, out []byte) (int, []byte, Phase) {
			r.help(neighbour, copyOf(t, theirs))
			return len(in), append(out, in...), Idle
		})
	}})
	r.help(neighbour, copyOf(t, theirs))
	r.poller.full = unix.ENOSPC
	c := r.dialTo(theirs)
	c.write("a\n")
	c.expect("a\n")
	if n := r.loop.wheel.pending(); n != 0 {
		t.Errorf("%d timers are pending, want none: who has gone does not come back", n)
	}
}

type handlerFunc func(in, out []byte) (int, []byte, Phase)

func (f handlerFunc) Handle(in, out []byte) (int, []byte, Phase) { return f(in, out) }

// Connections that end with their answer share a turn; one that stays open ends it.
func TestShortConnectionsShareATurn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, sent string
		want       int // connections accepted in a turn
	}{
		{"short", "close\n", acceptsPerTurnMax},
		{"kept", "a\n", 1},
		{"silent", "", 1},
	} {
		r := newRig(t, Config{})
		for range 2 * acceptsPerTurnMax {
			if c := r.dial(); test.sent != "" {
				_, err := unix.Write(c.fd, []byte(test.sent))
				must(t, err)
			}
		}
		r.turn()
		if r.accepted != test.want {
			t.Errorf("%s: one turn has accepted %d connections, want %d", test.name, r.accepted, test.want)
		}
		r.until("all are accepted", func() bool { return r.accepted == 2*acceptsPerTurnMax })
	}
}

// Looks for another connection that find none become rarer, and one that finds some
// makes them usual again.
func TestLooksInVainBecomeRarer(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	ls := r.loop.listeners[0]
	short := func(count int) {
		for range count {
			_, err := unix.Write(r.dial().fd, []byte("close\n"))
			must(t, err)
		}
		want := r.accepted + count
		r.until("they are accepted", func() bool { return r.accepted == want })
	}
	looks := 0
	for range 100 {
		before := ls.abstain
		if short(1); ls.abstain >= before {
			looks++
		}
	}
	if looks > 8 || ls.caution != cautionMax {
		t.Errorf("%d looks for a hundred lone connections, caution %d: want 8 at most, and %d", looks, ls.caution, cautionMax)
	}
	for range cautionMax + 1 {
		short(3)
	}
	if ls.caution > 1 { // 1: the last of three looks has found nobody
		t.Errorf("caution is %d although most looks find somebody, want 1 at most", ls.caution)
	}
}
