package reactor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// server is a loop that really runs, on a goroutine of its own.
type server struct {
	*Loop
	fd       int // it listens
	address  string
	accepted atomic.Int64
	open     atomic.Int64
	ended    chan error
}

func serve(t testing.TB, config Config) *server {
	t.Helper()
	fd, address, err := listenAnywhere()
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) }) // AFTER the loop's end, which is registered later
	return serveOn(t, config, fd, address)
}

func serveOn(t testing.TB, config Config, fd int, address string) *server {
	t.Helper()
	s := &server{fd: fd, address: address, ended: make(chan error, 1)}
	var handled []string
	if config.NewHandler == nil {
		config.NewHandler = func() Handler { return lineHandler{&handled} }
	}
	config.Accepted = func(n int) { s.accepted.Add(int64(n)) }
	config.Connections = func(n int) { s.open.Store(int64(n)) }
	var err error
	s.Loop, err = New(config)
	must(t, err)
	must(t, s.Listen(fd))
	go func() { s.ended <- s.Run() }()
	t.Cleanup(func() {
		s.Drain(1, nil) // the boot is long past: at once
		if err := s.wait(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

// wait returns what Run returned.
func (s *server) wait() error {
	err := <-s.ended
	s.ended <- err
	return err
}

func (s *server) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.address, patienceOfTests)
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(patienceOfTests)))
	t.Cleanup(func() { c.Close() })
	return c
}

func TestThousandConnections(t *testing.T) {
	t.Parallel()
	const clients, rounds = 1000, 3
	s := serve(t, Config{})
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = s.dial(t)
	}
	var wait sync.WaitGroup
	for i, c := range conns {
		wait.Add(1)
		go func() {
			defer wait.Done()
			read := bufio.NewReader(c)
			for round := range rounds {
				want := fmt.Sprintf("client %d round %d\n", i, round)
				if _, err := c.Write([]byte(want)); err != nil {
					t.Error(err)
					return
				}
				if got, err := read.ReadString('\n'); got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
					return
				}
			}
		}()
	}
	wait.Wait()
	if got := s.accepted.Load(); got != clients {
		t.Errorf("accepted %d, want %d", got, clients)
	}

	left := make(chan struct{})
	s.Drain(0, func() { close(left) })
	<-left
	for _, c := range conns {
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Fatalf("idle connection: got %d, %v, want an orderly end", n, err)
		}
		c.Close()
	}
	must(t, s.wait())
	if got := s.open.Load(); got != 0 {
		t.Errorf("%d connections are said to be open", got)
	}
}

// Two loops share a listening socket, as two generations of workers do, and one
// after the other drains. No connection is lost or left waiting.
func TestDrainBesideASuccessorLosesNothing(t *testing.T) {
	t.Parallel()
	const clients, generations, eachServes = 4, 5, 50
	last := serve(t, Config{})
	address := last.address
	served, stop := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	for range clients {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				if err := askOnce(address); err != nil {
					t.Error(err)
				}
				select {
				case served <- struct{}{}:
				case <-stop:
					return
				}
			}
		}()
	}
	for range generations {
		next := serveOn(t, Config{}, last.fd, address)
		for range eachServes {
			<-served
		}
		last.Drain(0, nil)
		for done := false; !done; {
			select {
			case <-served: // the clients go on meanwhile
			case err := <-last.ended:
				must(t, err)
				last.ended <- nil
				done = true
			}
		}
		last = next
	}
	close(stop)
	wait.Wait()
}

// askOnce is one short connection.
func askOnce(address string) error {
	c, err := net.DialTimeout("tcp", address, patienceOfTests)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patienceOfTests)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("close\n")); err != nil {
		return err
	}
	if got, err := io.ReadAll(c); string(got) != "bye\n" {
		return fmt.Errorf("got %q, %w, want %q", got, err, "bye\n")
	}
	return nil
}

func TestPostFromManyGoroutines(t *testing.T) {
	t.Parallel()
	const posters, each = 20, 500
	s := serve(t, Config{})
	var order [posters][]int // written on the loop only
	var wait sync.WaitGroup
	for i := range posters {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := range each {
				for {
					err := s.Post(func() { order[i] = append(order[i], n) })
					if err == nil {
						break
					}
					if !errors.Is(err, ErrFull) {
						t.Errorf("post: %v", err)
						return
					}
				}
			}
		}()
	}
	wait.Wait()
	done := make(chan struct{})
	for s.Post(func() { close(done) }) != nil {
	}
	<-done
	for i, numbers := range order {
		if len(numbers) != each {
			t.Fatalf("poster %d: %d tasks ran, want %d", i, len(numbers), each)
		}
		for n, got := range numbers {
			if got != n {
				t.Fatalf("poster %d: task %d ran as number %d", i, got, n)
			}
		}
	}
}

func TestPostIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	ran := 0
	for range tasksMax {
		must(t, r.loop.Post(func() { ran++ }))
	}
	if r.poller.wakes != tasksMax {
		t.Errorf("%d wakes for %d tasks, want one each: it is the poller that coalesces them", r.poller.wakes, tasksMax)
	}
	if err := r.loop.Post(func() {}); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	left := r.drain(0) // gets through all the same
	r.untilDrained()
	if ran != tasksMax || *left != 1 {
		t.Errorf("%d tasks ran and left was called %d times, want %d and 1", ran, *left, tasksMax)
	}
	if err := r.loop.Post(func() {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after the end: got %v, want os.ErrClosed", err)
	}
	r.loop.Drain(0, func() { t.Error("left was called on a loop that had ended") })
}

// A task may post the next one; it runs in a later turn, so tasks cannot keep
// the loop from its connections.
func TestTaskThatPostsItself(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	runs := 0
	var task func()
	task = func() {
		runs++
		must(t, r.loop.Post(task))
	}
	must(t, r.loop.Post(task))
	r.poller.timeout = 0
	for range 5 {
		r.turn()
	}
	if runs != 5 {
		t.Errorf("%d runs in 5 turns, want 5", runs)
	}
}

// The real thing: it sleeps, and still its beat goes on.
func TestIdleLoopBeats(t *testing.T) {
	t.Parallel()
	beats := make(chan int64, 100) // more than can come in this test
	loop, err := New(Config{
		NewHandler: func() Handler { return echo{} },
		Beat:       func(now int64) { beats <- now },
	})
	must(t, err)
	ended := make(chan error, 1)
	before := monotonic(t)
	go func() { ended <- loop.Run() }()

	// A signal may end a wait early now and then, the rule is a full sleep.
	last := <-beats
	for early := 0; ; early++ {
		next := <-beats
		if next-last >= int64(beatEvery) {
			last = next
			break
		}
		if early == 20 {
			t.Fatalf("an idle loop wakes again and again, at last after %v", time.Duration(next-last))
		}
		last = next
	}
	if after := monotonic(t); last < before || last > after {
		t.Errorf("got beat %d, want CLOCK_MONOTONIC between %d and %d", last, before, after)
	}
	loop.Drain(0, nil)
	must(t, <-ended)
}

func monotonic(t testing.TB) int64 {
	t.Helper()
	var now unix.Timespec
	must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return now.Nano()
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		config Config
	}{
		{"no handler", Config{}},
		{"negative input", Config{NewHandler: func() Handler { return nil }, MaxInput: -1}},
	} {
		if _, err := New(test.config); err == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
}

func BenchmarkTurnaround(b *testing.B) {
	s := serve(b, Config{NewHandler: func() Handler { return echo{} }})
	c := s.dial(b)
	must(b, c.SetDeadline(time.Time{}))
	message := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, message); err != nil {
			b.Fatal(err)
		}
	}
}

type echo struct{}

func (echo) Handle(in, out []byte) (int, []byte, Phase) { return len(in), append(out, in...), Idle }
