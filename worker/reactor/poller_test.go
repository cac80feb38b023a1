package reactor

import (
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every poller must pass these: they are the contract in poller.go.
func TestPollers(t *testing.T) {
	t.Parallel()
	for _, poller := range []struct {
		name string
		open func() (Poller, error)
	}{
		{"epoll", func() (Poller, error) { return newEpoll(false) }},
		{"epoll that always hands over", func() (Poller, error) { return newEpoll(true) }},
	} {
		for _, test := range []struct {
			name string
			run  func(*testing.T, Poller)
		}{
			{"level-triggered", pollerIsLevelTriggered},
			{"writable", pollerSaysWritable},
			{"modify", pollerModifies},
			{"remove", pollerRemoves},
			{"hang-up", pollerReportsHangUp},
			{"many at once", pollerReportsMany},
			{"timeout", pollerTimesOut},
			{"wake", pollerWakes},
			{"wake from many goroutines", pollerWakesForMany},
			{"token", pollerKeepsTokens},
			{"edge", pollerReportsEdges},
			{"end", pollerReportsEnds},
		} {
			t.Run(poller.name+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				p, err := poller.open()
				must(t, err)
				defer func() { must(t, p.Close()) }()
				test.run(t, p)
			})
		}
	}
}

func pollerIsLevelTriggered(t *testing.T, p Poller) {
	ours, theirs := socketPair(t)
	must(t, p.Add(ours, 7, Readable))
	expectReady(t, p)
	send(t, theirs)
	for range 3 { // again and again, until it is read
		expectReady(t, p, 7)
	}
	receive(t, ours)
	expectReady(t, p)
}

func pollerSaysWritable(t *testing.T, p Poller) {
	ours, theirs := socketPair(t)
	must(t, p.Add(ours, 7, Writable))
	expectReady(t, p, 7)
	for _, err := unix.Write(ours, make([]byte, 1<<16)); err == nil; {
		_, err = unix.Write(ours, make([]byte, 1<<16))
	}
	expectReady(t, p)
	for _, err := unix.Read(theirs, make([]byte, 1<<16)); err == nil; {
		_, err = unix.Read(theirs, make([]byte, 1<<16))
	}
	expectReady(t, p, 7)
}

func pollerModifies(t *testing.T, p Poller) {
	ours, _ := socketPair(t)
	must(t, p.Add(ours, 7, Readable))
	expectReady(t, p)
	must(t, p.Modify(ours, 8, Writable))
	expectReady(t, p, 8)
	must(t, p.Modify(ours, 9, Readable))
	expectReady(t, p)
}

func pollerRemoves(t *testing.T, p Poller) {
	ours, theirs := socketPair(t)
	must(t, p.Add(ours, 7, Readable))
	send(t, theirs)
	must(t, p.Remove(ours))
	expectReady(t, p)
	if err := p.Remove(ours); !errors.Is(err, unix.ENOENT) {
		t.Errorf("second remove: got %v, want ENOENT", err)
	}
	must(t, p.Add(ours, 8, Readable))
	expectReady(t, p, 8)
}

func pollerReportsHangUp(t *testing.T, p Poller) {
	ours, theirs := socketPair(t)
	must(t, p.Add(ours, 7, Readable))
	must(t, unix.Shutdown(theirs, unix.SHUT_RDWR))
	expectReady(t, p, 7)
	must(t, p.Modify(ours, 7, Writable))
	expectReady(t, p, 7)
}

func pollerReportsMany(t *testing.T, p Poller) {
	var want []Token
	for i := range 2 * eventsPerTurnMax {
		ours, theirs := socketPair(t)
		must(t, p.Add(ours, Token(i), Readable))
		send(t, theirs)
		want = append(want, Token(i))
	}
	ready := make([]Token, 10)
	if n, err := p.Wait(ready, 0); err != nil || n != 10 {
		t.Errorf("room for 10: got %d, %v", n, err)
	}
	seen := map[Token]bool{}
	ready = make([]Token, eventsPerTurnMax)
	for range 4 {
		n, err := p.Wait(ready, 0)
		must(t, err)
		for _, token := range ready[:n] {
			seen[token] = true
		}
	}
	for _, token := range want {
		if !seen[token] {
			t.Fatalf("token %d was not reported in four rounds: some starve", token)
		}
	}
}

// Signals may end a wait early; rounding must not, or a loop would spin in the
// last millisecond before each deadline.
func pollerTimesOut(t *testing.T, p Poller) {
	for _, timeout := range []time.Duration{0, time.Nanosecond, 1500 * time.Microsecond, 20 * time.Millisecond} {
		end := time.Now().Add(timeout)
		for waits := 0; time.Until(end) > 0; waits++ {
			if n, err := p.Wait(make([]Token, 1), time.Until(end)); n != 0 || err != nil || waits == 20 {
				t.Fatalf("timeout %v: got %d, %v in wait number %d", timeout, n, err, waits)
			}
		}
	}
}

func pollerWakes(t *testing.T, p Poller) {
	for range 3 { // before the wait, and coalesced
		must(t, p.Wake())
		must(t, p.Wake())
		start := time.Now()
		n, err := p.Wait(make([]Token, 1), patienceOfTests)
		if n != 0 || err != nil || time.Since(start) >= patienceOfTests {
			t.Fatalf("got %d, %v after %v, want an early and empty return", n, err, time.Since(start))
		}
		expectReady(t, p)
	}
}

// No wake is lost: the waiter sees everything that was done before a Wake.
func pollerWakesForMany(t *testing.T, p Poller) {
	const wakers, each = 4, 2000
	var mu sync.Mutex
	posted := 0
	for range wakers {
		go func() {
			for range each {
				mu.Lock()
				posted++
				mu.Unlock()
				if err := p.Wake(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for end := time.Now().Add(patienceOfTests); ; {
		mu.Lock()
		done := posted == wakers*each
		mu.Unlock()
		if done {
			return
		}
		if _, err := p.Wait(make([]Token, 1), time.Until(end)); err != nil || time.Now().After(end) {
			t.Fatalf("%v: a wake was lost", err)
		}
	}
}

func pollerKeepsTokens(t *testing.T, p Poller) {
	ours, theirs := socketPair(t)
	send(t, theirs)
	must(t, p.Add(ours, 0, Readable))
	for _, token := range []Token{0, 1, 1<<32 - 1, 1 << 32, TokenMax} {
		must(t, p.Modify(ours, token, Readable))
		expectReady(t, p, token)
	}
}

// Each arrival is reported once, and to everybody, although nobody reads.
func pollerReportsEdges(t *testing.T, p Poller) {
	ours, theirs := socketPair(t)
	other, err := newEpoll(false)
	must(t, err)
	defer func() { must(t, other.Close()) }()
	send(t, theirs) // was there before: counts as an arrival
	for _, p := range []Poller{p, other} {
		must(t, p.Add(ours, 7, Readable|Edge))
		expectReady(t, p, 7)
	}
	for range 3 {
		expectReady(t, p)
		send(t, theirs)
		send(t, theirs)
		expectReady(t, p, 7)
		expectReady(t, other, 7)
	}
	must(t, p.Remove(ours))
	send(t, theirs)
	expectReady(t, p)
}

func pollerReportsEnds(t *testing.T, p Poller) {
	ours, theirs := socketPair(t)
	must(t, p.Add(ours, 7, Readable|Edge))
	send(t, theirs)
	must(t, unix.Shutdown(theirs, unix.SHUT_WR))
	expectReady(t, p, 7|Ended) // behind what can be read
	expectReady(t, p)
	must(t, p.Modify(ours, 8, Writable))
	expectReady(t, p, 8) // ends are no matter here
	must(t, p.Modify(ours, 9, Readable|Edge))
	expectReady(t, p, 9|Ended)
}

// expectReady looks at what is ready without waiting.
func expectReady(t *testing.T, p Poller, want ...Token) {
	t.Helper()
	ready := make([]Token, 16)
	n, err := p.Wait(ready, 0)
	must(t, err)
	if !slices.Equal(ready[:n], want) {
		t.Fatalf("got tokens %v, want %v", ready[:n], want)
	}
}

func socketPair(t *testing.T) (ours, theirs int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	return pair[0], pair[1]
}

func send(t *testing.T, fd int) {
	t.Helper()
	_, err := unix.Write(fd, []byte("x"))
	must(t, err)
}

func receive(t *testing.T, fd int) {
	t.Helper()
	_, err := unix.Read(fd, make([]byte, 16))
	must(t, err)
}

// EPOLLEXCLUSIVE: one arrival wakes one of two waiting processes. Two epoll
// instances stand for them.
func TestEpollExclusiveWakesOne(t *testing.T) {
	t.Parallel()
	listening := listenTCP(t)
	woken := make(chan int, 2)
	var wait sync.WaitGroup
	pollers := make([]*epoll, 2)
	for i := range pollers {
		p, err := newEpoll(false)
		must(t, err)
		pollers[i] = p
		must(t, p.Add(listening, Token(i), Readable|Exclusive))
		if err := p.Modify(listening, Token(i), Readable); !errors.Is(err, unix.EINVAL) {
			t.Errorf("modify: got %v, want EINVAL as the contract says", err)
		}
	}
	for i, p := range pollers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			ready := make([]Token, 1)
			if n, _ := p.Wait(ready, patienceOfTests); n > 0 {
				woken <- i
			}
		}()
	}
	r := &rig{t: t, listen: listening}
	r.dial()
	first := <-woken
	must(t, pollers[1-first].Wake())
	wait.Wait()
	if len(woken) > 0 {
		t.Log("both woke; the kernel may do that, it only avoids it") // epoll_ctl(2): "one or more"
	}
	for _, p := range pollers {
		must(t, p.Close())
	}
}

func TestPollerErrorsEndTheLoop(t *testing.T) {
	t.Parallel()
	epoll, err := newEpoll(false)
	must(t, err)
	loop, err := New(Config{NewHandler: func() Handler { return nil }, Poller: &brokenPoller{epoll}})
	must(t, err)
	if err := loop.Run(); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("got %v, want the poller's error", err)
	}
	if err := loop.Post(func() {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("post afterwards: got %v, want os.ErrClosed", err)
	}
}

type brokenPoller struct{ Poller }

func (*brokenPoller) Wait([]Token, time.Duration) (int, error) { return 0, os.ErrInvalid }
