package goroutines

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Idle clients see nothing of it, and the giver ends.
func TestHandOverOfIdle(t *testing.T) {
	t.Parallel()
	plain(t)
	from, heir := serveNamed(t, "old", Config{}), serveNamed(t, "new", Config{})
	clients := rest(t, from, 600) // three parcels
	from.handOver(t, heir)
	from.wait(t)
	for _, c := range clients {
		c.write(get)
	}
	for _, c := range clients {
		c.expectFrom("new", mirrored)
	}
	heir.resting(t, len(clients))
	if got := heir.accepted.Load(); got != 0 {
		t.Errorf("%d are accepted, want none", got)
	}
	n := int64(len(clients))
	from.expectCounts(t, n, 0, 0, 0)
	heir.expectCounts(t, 0, n, 0, 0)
}

// Clients that ask and ask see nothing of it either, whatever the engines are.
func TestHandOverUnderLoad(t *testing.T) {
	t.Parallel()
	plain(t)
	for _, test := range []struct {
		name   string
		serves []func(testing.TB) worker
	}{
		{"goroutines", []func(testing.TB) worker{onGoroutines, onGoroutines, onGoroutines, onGoroutines}},
		{"both engines", []func(testing.TB) worker{onGoroutines, onReactor, onGoroutines, onReactor}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			const clients, between = 32, 640
			current := test.serves[0](t)
			var asking sync.WaitGroup
			var over atomic.Bool
			var answers atomic.Int64
			for range clients {
				c := dialTo(t, current.address)
				asking.Go(func() {
					for !over.Load() {
						if err := c.ask(); err != nil {
							t.Errorf("after %d answers: %v", answers.Load(), err)
							return
						}
						answers.Add(1)
					}
				})
			}
			for _, serve := range test.serves[1:] {
				goal := answers.Load() + between
				until(t, "there are more answers", func() bool { return t.Failed() || answers.Load() >= goal })
				heir := serve(t)
				inherit(t, current, heir, 0)
				current.Drain(monotonic(t)+int64(patience), nil)
				current.wait(t)
				current = heir
			}
			goal := answers.Load() + between
			until(t, "there are more answers", func() bool { return t.Failed() || answers.Load() >= goal })
			over.Store(true)
			asking.Wait()
		})
	}
}

// A request that has begun when the drain does, wherever that is, is answered once, by
// who has its beginning, and the connection goes on.
func TestHandOverAroundRequests(t *testing.T) {
	t.Parallel()
	plain(t)
	text := post(4, "body")
	for _, test := range []struct {
		name   string
		joined string // sent in one segment with the first half
	}{
		{name: "in a segment of its own"},
		{name: "behind another", joined: get},
		{name: "behind a body", joined: post(3, "abc")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from, heir := serveNamed(t, "old", Config{}), serveNamed(t, "new", Config{})
			clients := rest(t, from, len(text)-1)
			for i, c := range clients {
				c.write(test.joined + text[:i+1])
				if test.joined != "" {
					c.answer()
				}
			}
			from.handOver(t, heir)
			for i, c := range clients {
				c.write(text[i+1:])
				c.expectFrom("", `POST /x "body"`)
			}
			from.wait(t)
			for _, c := range clients {
				c.write(get)
				c.expectFrom("new", mirrored)
			}
		})
	}
}

// A request of which net/http has read the first bytes, together with the end of the
// one before, stays with them.
func TestHandOverLeavesNoBytesBehind(t *testing.T) {
	t.Parallel()
	plain(t)
	const body = "abcdefgh"
	g := newGate()
	from, heir := serveNamed(t, "old", Config{Handler: g}), serveNamed(t, "new", Config{})
	var clients []*client
	for ahead := range len(get) {
		c := from.dial(t)
		c.write(getGate + get[:ahead])
		clients = append(clients, c)
		<-g.entered
	}
	from.handOver(t, heir)
	close(g.opened)
	for ahead, c := range clients {
		c.expectFrom("old", "through")
		c.write(get[ahead:])
		c.expectFrom("", mirrored)
	}
	from.wait(t)
	for _, c := range clients {
		c.write(post(len(body), body))
		c.expectFrom("new", fmt.Sprintf("POST /x %q", body))
	}
}

// What comes in the very moment is answered, by either.
func TestHandOverMeetsRequests(t *testing.T) {
	t.Parallel()
	plain(t)
	from, heir := serve(t, Config{}), serve(t, Config{})
	clients := rest(t, from, 100)
	var crossing sync.WaitGroup
	for _, c := range clients {
		crossing.Go(func() {
			for range 3 {
				if err := c.ask(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	from.handOver(t, heir)
	crossing.Wait()
	from.wait(t)
	t.Logf("%d of %d were answered by the giver", from.answeredN.Load()-int64(len(clients)), 3*len(clients))
}

// Pipelined requests that another worker has read are answered in their order.
func TestTakeOverWithUnreadInput(t *testing.T) {
	t.Parallel()
	plain(t)
	const requests = 400 // some buffers of net/http
	text := ""
	for n := range requests {
		text += fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", n)
	}
	for _, cut := range []int{1, 3, 4, 4096, len(text) / 2, len(text) - 1, len(text)} {
		t.Run(fmt.Sprintf("%d bytes", cut), func(t *testing.T) {
			t.Parallel()
			r := serve(t, Config{})
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			must(t, err)
			c := newClient(t, connOn(t, fds[1]))
			must(t, r.Post(func() { r.intake.TakeOver(fds[0], []byte(text[:cut])) }))
			go func() { _, _ = io.WriteString(c, text[cut:]) }() // if it fails, so do the answers
			for n := range requests {
				c.expectFrom("", fmt.Sprintf(`GET /%d ""`, n))
			}
			r.resting(t, 1)
			r.drain(t)
			c.expectEnd()
		})
	}
}

// A drain that ends connections at rest looks behind what another worker has read.
func TestDrainAnswersUnreadInput(t *testing.T) {
	t.Parallel()
	plain(t)
	r := serve(t, Config{})
	r.drain(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	defer unix.Close(fds[1])
	c := newConn(r.Engine, fds[0])
	c.leftover = &leftover{File: c.file, unread: []byte(get)}
	c.stream, c.phase = c.leftover, idle
	got := make([]byte, 100)
	if n, err := c.rest(got); string(got[:n]) != get || err != nil {
		t.Errorf("read %q, %v, want %q", got[:n], err, get)
	}
	must(t, c.file.Close())
}

// A connection that was idle may stay so, for longer than a header may take.
func TestTakenOverRests(t *testing.T) {
	t.Parallel()
	plain(t)
	const header = 50 * time.Millisecond
	from, heir := serve(t, Config{}), serve(t, Config{HeaderTimeout: header})
	c := rest(t, from, 1)[0]
	from.handOver(t, heir)
	from.wait(t)
	heir.resting(t, 1)
	must(t, c.SetReadDeadline(time.Now().Add(4*header)))
	if _, err := c.read.Peek(1); !isTimeout(err) {
		t.Errorf("after %v: %v, want nothing", 4*header, err)
	}
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	c.write("GET / HTTP/1.1\r\n")
	c.expectEnd() // now it has begun
}

// A drain ends connections that were taken over as it does others.
func TestDrainAfterTakingOver(t *testing.T) {
	t.Parallel()
	plain(t)
	from, heir := serve(t, Config{}), serve(t, Config{})
	clients := rest(t, from, 2)
	from.handOver(t, heir)
	from.wait(t)
	heir.resting(t, 2)
	clients[1].write("GET / HT")
	heir.resting(t, 1)
	heir.drain(t)
	clients[0].expectEnd()
	clients[1].write("TP/1.1\r\nHost: a\r\n\r\n")
	clients[1].expectLast(200, mirrored)
	heir.wait(t)
}

// What an heir has not taken is served on, and the next one gets it.
func TestHeirDies(t *testing.T) {
	t.Parallel()
	plain(t)
	from, heir := serveNamed(t, "old", Config{}), serveNamed(t, "new", Config{})
	clients := rest(t, from, 300)
	pair := newPair(t)
	must(t, from.Post(func() { must(t, from.Give(pair[0], 0)) }))
	from.Drain(monotonic(t)+int64(patience), nil)
	// It has parcels, and reads none of them.
	until(t, "connections are under way", func() bool { return len(from.open()) < len(clients) })
	must(t, unix.Close(pair[1]))
	for _, c := range clients {
		c.write(get)
	}
	for _, c := range clients {
		c.expectFrom("old", mirrored)
	}
	from.resting(t, len(clients))
	inherit(t, from, heir, 0)
	from.wait(t)
	for _, c := range clients {
		c.write(get)
		c.expectFrom("new", mirrored)
	}
}

// What comes back while heirs take is offered again, after a while.
func TestOfferAgain(t *testing.T) {
	t.Parallel()
	plain(t)
	g := newGate()
	from, heir := serve(t, Config{Handler: g}), serveNamed(t, "new", Config{})
	busy := from.dial(t) // it keeps the giver
	busy.write(getGate)
	<-g.entered
	from.handOver(t, heir)
	until(t, "the drain gives", func() bool { return from.epoch.Load() > 0 })
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	c := newClient(t, connOn(t, fds[1]))
	must(t, from.Post(func() { from.intake.TakeOver(fds[0], nil) }))
	heir.resting(t, 1)
	c.write(get)
	c.expectFrom("new", mirrored)
	close(g.opened)
	busy.expectFrom("", "through")
	from.wait(t)
}

// Near the deadline nobody waits for an heir any more.
func TestNoHeirComes(t *testing.T) {
	t.Parallel()
	plain(t)
	from := serve(t, Config{})
	clients := rest(t, from, 3)
	pair := newPair(t)
	must(t, from.Post(func() { must(t, from.Give(pair[0], 0)) }))
	must(t, unix.Close(pair[1]))
	from.Drain(monotonic(t)+int64(2*time.Second), nil)
	clients[0].write(get)
	clients[0].expectFrom("", mirrored)
	clients[1].write("GET / HT")
	clients[2].expectEnd()
	clients[0].expectEnd()
	clients[1].write("TP/1.1\r\nHost: a\r\n\r\n")
	clients[1].expectLast(200, mirrored)
	from.wait(t)
}

// An heir that is silent does not keep the giver beyond its deadline.
func TestDeadlineWithAnHeir(t *testing.T) {
	t.Parallel()
	plain(t)
	from := serve(t, Config{})
	clients := rest(t, from, 3)
	pair := newPair(t)
	must(t, from.Post(func() { must(t, from.Give(pair[0], 0)) }))
	from.Drain(monotonic(t)+int64(300*time.Millisecond), nil)
	from.wait(t)
	must(t, unix.Close(pair[1])) // the parcel that nobody has read holds them open
	for _, c := range clients {
		if _, err := c.read.Peek(1); err == nil || isTimeout(err) {
			t.Errorf("peek: %v, want the end", err)
		}
	}
}

// Every end of a connection in a drain is one of three.
func TestCountsOfADrain(t *testing.T) {
	t.Parallel()
	plain(t)
	g := newGate()
	defer close(g.opened)
	r := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
		g.ServeHTTP(w, r)
	})})
	idle := rest(t, r, 2)
	begin := func(text string) *client {
		c := r.dial(t)
		c.write(text)
		return c
	}
	busy, half, gone := begin(getGate), begin("GET / HT"), begin("GET / HT")
	<-g.entered
	broken := begin("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := broken.read.Peek(1); err != io.EOF {
		t.Errorf("peek: %v, want the end", err)
	}
	r.expectCounts(t, 0, 0, 0, 1)
	last := r.dial(t)
	until(t, "all are accepted", func() bool { return r.accepted.Load() == 7 })
	r.drain(t)
	last.write(get)
	last.expectLast(200, mirrored)
	for _, c := range idle {
		c.expectEnd()
	}
	must(t, gone.Close())
	until(t, "two are left", func() bool { return len(r.open()) == 2 })
	r.expectCounts(t, 0, 0, 3, 1)
	r.Drain(monotonic(t), nil)
	r.wait(t)
	r.expectCounts(t, 0, 0, 3, 3)
	must(t, errors.Join(busy.Close(), half.Close()))
}

// Some of those that rest even out two engines that both serve.
func TestGiveSome(t *testing.T) {
	t.Parallel()
	plain(t)
	from, to := serveNamed(t, "full", Config{}), serveNamed(t, "empty", Config{})
	clients := rest(t, from, 10)
	clients = append(clients, from.dial(t))
	until(t, "it is accepted", func() bool { return from.accepted.Load() == 11 })
	inherit(t, from, to, 4)
	to.resting(t, 4)
	from.resting(t, 6)
	by := map[string]int{}
	for _, c := range clients {
		c.write(get)
		response := c.expect(200, mirrored)
		by[response.Header.Get(identityHeader)]++
	}
	if by["full"] != 7 || by["empty"] != 4 {
		t.Errorf("answers came from %v, want 7 from the full one and 4 from the empty one", by)
	}
	from.resting(t, 7)
	inherit(t, from, to, 100) // more than there are
	to.resting(t, 11)
}

// What a handler has taken over lives until the deadline.
func TestHandOverLeavesHijacked(t *testing.T) {
	t.Parallel()
	plain(t)
	from, heir := serve(t, Config{Handler: http.HandlerFunc(echoHijacked)}), serve(t, Config{})
	c := from.dial(t)
	c.write(get + "a")
	expect := func(want string) {
		t.Helper()
		if got, err := c.read.ReadString(want[0]); got != want || err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	expect("a")
	from.handOver(t, heir)
	c.write("b")
	expect("b")
	from.Drain(monotonic(t), nil)
	c.expectEnd()
	from.wait(t)
}

// With TLS nothing is handed over.
func TestGiveAndTakeWithTLS(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Handler: http.NotFoundHandler(), TLS: newCredentials(t).server})
	must(t, err)
	defer e.Close()
	for name, hand := range map[string]func(fd int) error{
		"give": func(fd int) error { return e.Give(fd, 0) },
		"take": e.Take,
	} {
		pair := newPair(t)
		if err := hand(pair[0]); !errors.Is(err, errTLS) {
			t.Errorf("%s: got %v, want %v", name, err, errTLS)
		}
		if n, err := unix.Read(pair[1], make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("%s: read %d bytes, %v, want that its end is closed", name, n, err)
		}
		unix.Close(pair[1])
	}
}
