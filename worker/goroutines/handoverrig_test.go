package goroutines

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

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

// expectCounts checks what the hooks have said.
func (r *rig) expectCounts(t testing.TB, given, taken, finished, cut int64) {
	t.Helper()
	got := [...]int64{r.given.Load(), r.taken.Load(), r.finished.Load(), r.cut.Load()}
	if want := [...]int64{given, taken, finished, cut}; got != want {
		t.Errorf("given, taken, finished and cut are %v, want %v", got, want)
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
