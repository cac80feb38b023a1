package goroutines

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// giver and taker are the two sides of a hand-over, whatever their engine is.
type giver interface {
	Post(func()) error
	Give(fd, count int) error
}

type taker interface {
	Post(func()) error
	Take(fd int) error
}

// inherit makes heir the one that gets count of a giver's connections.
func inherit(t testing.TB, from giver, heir taker, count int) {
	t.Helper()
	pair := newPair(t)
	done := make(chan error, 2)
	must(t, heir.Post(func() { done <- heir.Take(pair[1]) }))
	must(t, <-done)
	must(t, from.Post(func() { done <- from.Give(pair[0], count) }))
	must(t, <-done)
}

func newPair(t testing.TB) [2]int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return pair
}

// handOver drains a giver as a reload does.
func (r *rig) handOver(t testing.TB, heir taker) {
	t.Helper()
	inherit(t, r, heir, 0)
	r.Drain(monotonic(t)+int64(patience), nil)
}

// serveNamed is serve; its answers tell who gave them.
func serveNamed(t testing.TB, name string, config Config) *rig {
	t.Helper()
	config.Identity = name
	return serve(t, config)
}

// plain skips a test of what there is without TLS only.
func plain(t testing.TB) {
	t.Helper()
	if overTLS() {
		t.Skip("with TLS nothing is handed over")
	}
}

// expectFrom checks an answer that must not be the last one, and who gave it.
func (c *client) expectFrom(name, body string) {
	c.t.Helper()
	response := c.expect(200, body)
	if response.Close {
		c.t.Error("the answer says that it is the last one")
	}
	if got := response.Header.Get(identityHeader); name != "" && got != name {
		c.t.Errorf("%s has answered, want %s", got, name)
	}
}

func rest(t testing.TB, r *rig, n int) []*client {
	t.Helper()
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = r.dial(t)
		clients[i].write(get)
		clients[i].expect(200, mirrored)
	}
	r.resting(t, n)
	return clients
}

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

// expectCounts checks what the hooks have said.
func (r *rig) expectCounts(t testing.TB, given, taken, finished, cut int64) {
	t.Helper()
	got := [...]int64{r.given.Load(), r.taken.Load(), r.finished.Load(), r.cut.Load()}
	if want := [...]int64{given, taken, finished, cut}; got != want {
		t.Errorf("given, taken, finished and cut are %v, want %v", got, want)
	}
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

// worker is an engine that runs.
type worker struct {
	giver
	taker
	Drain   func(deadline int64, left func())
	wait    func(testing.TB)
	address string
}

// Post is that of both.
func (w worker) Post(task func()) error { return w.giver.Post(task) }

func onGoroutines(t testing.TB) worker {
	r := serve(t, Config{})
	return worker{r, r, r.Drain, r.wait, r.address}
}

func onReactor(t testing.TB) worker {
	t.Helper()
	var loop *reactor.Loop
	shared := proto.NewHTTP(proto.HTTPConfig{
		App:      proto.Answers(func(_, _, _ []byte) (int, []byte) { return http.StatusOK, []byte(mirrored) }).App(),
		Draining: func() bool { return loop.Draining() },
	})
	loop, err := reactor.New(reactor.Config{
		NewHandler: shared.NewHandler, MaxInput: shared.MaxInput(), ClientFirst: true,
		Report: func(err error) { t.Errorf("the loop reports: %v", err) },
	})
	must(t, err)
	fd, address := listenTCP(t)
	must(t, loop.Listen(fd))
	ended := make(chan error, 1)
	go func() { ended <- loop.Run() }()
	wait := func(t testing.TB) {
		t.Helper()
		err := <-ended
		ended <- err
		must(t, err)
	}
	t.Cleanup(func() { loop.Drain(1, nil); wait(t) })
	return worker{loop, loop, loop.Drain, wait, address}
}

// ask is a request and its answer, for goroutines beside the test.
func (c *client) ask() error {
	if _, err := io.WriteString(c, get); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != 200 || string(body) != mirrored || response.Close) {
		err = fmt.Errorf("answer %d %q, the last one: %v", response.StatusCode, body, response.Close)
	}
	return err
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

func echoHijacked(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		b, err := buffered.ReadByte()
		if err != nil {
			return
		}
		if _, err := conn.Write([]byte{b}); err != nil {
			return
		}
	}
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

// connOn is a connection of package net on a descriptor, which it takes.
func connOn(t testing.TB, fd int) net.Conn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "client")
	defer file.Close()
	c, err := net.FileConn(file)
	must(t, err)
	return c
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
