package reactor

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The stories of this file are processes of their own: GOMAXPROCS and collections
// concern all goroutines of one.
func TestWaitHoldsOrHandsOver(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"collect-idle", "collect-holding", "collect-busy", "collect-one-p", "hold-or-hand-over"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			executable, err := os.Executable()
			must(t, err)
			ctx, cancel := context.WithTimeout(context.Background(), patienceOfTests)
			defer cancel()
			child := exec.CommandContext(ctx, executable)
			child.Env = append(os.Environ(), childVariable+"="+name)
			said, err := child.CombinedOutput()
			t.Log(strings.TrimSpace(string(said)))
			if ctx.Err() != nil {
				t.Fatal("the child hangs")
			}
			must(t, err)
		})
	}
}

const (
	collections = 200
	// stopMax is what the machine of a test may add to a stop by being busy itself.
	// A loop that has to be waited for stops the world for holdMax, or for ever.
	stopMax = time.Second
	// fewHolds happen to a loop that is idle: it had to accept its client.
	fewHolds = 10
)

type frequency string

const (
	never  frequency = "never"
	always frequency = "always"
)

// An idle loop hands over: it is in nobody's way.
func collectIdle() error { return collect(2, never, echo{}, func(*waiter) error { return nil }) }

// A loop that has just answered holds its P when the collection begins.
func collectHolding() error { return collect(2, always, echo{}, (*waiter).ask) }

// With one P the loop never holds it: the client, a goroutine of the same
// process, could not go on.
func collectOneP() error { return collect(1, never, echo{}, (*waiter).ask) }

// A loop whose handler makes garbage is in any state.
func collectBusy() error {
	asking := make(chan error, 1)
	return collect(2, always, wasteful{}, func(w *waiter) error {
		select {
		case err := <-asking:
			if err != nil {
				return err
			}
		default:
			if w.collected > 0 {
				return nil // the last one is still being answered
			}
		}
		go func() { asking <- w.askFor(20) }()
		return nil
	})
}

// collect forces collections beside a loop and says how long they stopped the
// world. Before each one prepare brings the loop into the state that is wanted.
func collect(procs int, holds frequency, handler Handler, prepare func(*waiter) error) error {
	runtime.GOMAXPROCS(procs)
	w, err := startWaiter(handler)
	if err != nil {
		return err
	}
	start := time.Now()
	for ; w.collected < collections; w.collected++ {
		if err := prepare(w); err != nil {
			return err
		}
		runtime.GC()
	}
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	stops := stats.Pause[:collections] // the latest: with garbage there were others, too
	slices.Sort(stops)
	p99, worst := stops[collections*99/100], stops[collections-1]
	held, err := w.held()
	fmt.Printf("%d collections in %v, stops: p99 %v, worst %v, waits that held: %d\n",
		collections, time.Since(start).Round(time.Millisecond), p99, worst, held)
	switch {
	case err != nil:
		return err
	case p99 > stopMax:
		return fmt.Errorf("want stops below %v", stopMax)
	case holds == never && held > fewHolds || holds == always && held < collections/2:
		return fmt.Errorf("want that waits hold %s", holds)
	}
	return nil
}

// holdOrHandOver follows GOMAXPROCS while the loop runs.
func holdOrHandOver() error {
	const asks = 10
	runtime.GOMAXPROCS(2)
	w, err := startWaiter(echo{})
	if err != nil {
		return err
	}
	for _, phase := range []struct {
		procs int
		holds bool
	}{{2, true}, {1, false}, {2, true}} {
		runtime.GOMAXPROCS(phase.procs)
		if err := w.askFor(asks); err != nil { // until the loop has been idle, and seen it
			return err
		}
		before, err := w.held()
		if err != nil {
			return err
		}
		if err := w.askFor(asks); err != nil {
			return err
		}
		after, err := w.held()
		fmt.Printf("GOMAXPROCS=%d: %d waits held\n", phase.procs, after-before)
		if err != nil || (after > before) != phase.holds {
			return fmt.Errorf("with GOMAXPROCS=%d waits held: %v, %w; want %v", phase.procs, after > before, err, phase.holds)
		}
	}
	return nil
}

// waiter is a loop that really runs, with one client.
type waiter struct {
	loop      *Loop
	poller    *epoll
	client    net.Conn
	collected int
}

func startWaiter(handler Handler) (*waiter, error) {
	fd, address, err := listenAnywhere()
	if err != nil {
		return nil, err
	}
	w := &waiter{}
	if w.poller, err = newEpoll(false); err != nil {
		return nil, err
	}
	w.loop, err = New(Config{NewHandler: func() Handler { return handler }, Poller: w.poller})
	if err != nil {
		return nil, err
	}
	if err := w.loop.Listen(fd); err != nil {
		return nil, err
	}
	go func() { _ = w.loop.Run() }() // it ends with the process
	w.client, err = net.DialTimeout("tcp", address, patienceOfTests)
	return w, err
}

// ask returns when the client has its answer.
func (w *waiter) ask() error {
	message := make([]byte, 64)
	if _, err := w.client.Write(message); err != nil {
		return err
	}
	_, err := io.ReadFull(w.client, message)
	return err
}

func (w *waiter) askFor(times int) error {
	for range times {
		if err := w.ask(); err != nil {
			return err
		}
	}
	return nil
}

// held is how many waits have held so far. That it is told at all shows that a
// task of another goroutine gets through.
func (w *waiter) held() (holds int, err error) {
	done := make(chan struct{})
	if err := w.loop.Post(func() { holds = w.poller.sleep.holds; close(done) }); err != nil {
		return 0, err
	}
	<-done
	return holds, nil
}

// wasteful answers as echo does, and makes garbage.
type wasteful struct{}

var waste []*[64]byte // or the compiler would see that nobody needs it

func (wasteful) Handle(in, out []byte) (int, []byte, Phase) {
	waste = nil
	for range 1000 {
		waste = append(waste, new([64]byte))
	}
	return len(in), append(out, in...), Idle
}

// A loop that was busy and has nothing to do any more sleeps as long as it may, and
// hands over meanwhile.
func TestBusyLoopFallsAsleep(t *testing.T) {
	t.Parallel()
	const timeout = 4 * holdMax
	const triesMax = 200 // signals may end a wait early, and a busy machine late
	p := newSleepy(t)
	for range triesMax {
		p.sleep = sleeper{fd: p.sleep.fd, busy: true}
		took := p.waitFor(t, timeout)
		if p.sleep.busy || p.sleep.holds != 1 || p.sleep.handovers > 1 {
			t.Fatalf("busy is %v after %d waits that held and %d that handed over", p.sleep.busy, p.sleep.holds, p.sleep.handovers)
		}
		if p.sleep.handovers == 1 && took >= timeout && took < timeout+holdMax*3/4 {
			return
		}
	}
	t.Errorf("no wait of %v took so long, the first part holding and the rest not", timeout)
}

// Looking without waiting says nothing about work.
func TestLookIsNoSleep(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} {
		const looks = 100
		p := newSleepy(t)
		p.sleep.busy = busy
		short := 0
		for range looks {
			if p.waitFor(t, 0) < holdMax/2 {
				short++
			}
		}
		if short < looks/2 {
			t.Errorf("%d of %d looks were short: they sleep", short, looks)
		}
		if p.sleep.busy != busy || p.sleep.holds != 0 {
			t.Errorf("busy %v became %v by a look, and %d waits held", busy, p.sleep.busy, p.sleep.holds)
		}
	}
}

// sleepy is an epoll to which nothing comes.
type sleepy struct{ *epoll }

func newSleepy(t testing.TB) sleepy {
	t.Helper()
	p, err := newEpoll(false)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return sleepy{p}
}

// waitFor returns how long a wait took.
func (p sleepy) waitFor(t testing.TB, timeout time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	if n, err := p.Wait(make([]Token, 1), timeout); n != 0 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	return time.Since(start)
}

// What an engine of goroutines waits on never holds.
func TestTakersHandOver(t *testing.T) {
	t.Parallel()
	p, err := newEpoll(true)
	must(t, err)
	defer func() { must(t, p.Close()) }()
	ours, theirs := socketPair(t)
	must(t, p.Add(ours, 7, Readable))
	send(t, theirs)
	for range 3 {
		if n, err := p.Wait(make([]Token, 1), patienceOfTests); n != 1 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	if p.sleep.busy || p.sleep.holds != 0 {
		t.Errorf("%d waits held, and busy is %v", p.sleep.holds, p.sleep.busy)
	}
}

// A wait on nothing that epoll knows ends the loop, whichever way it waits.
func TestWaitFails(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} {
		s := sleeper{fd: -1, busy: busy}
		if _, err := s.wait(make([]unix.EpollEvent, 1), time.Second); err == nil {
			t.Errorf("busy %v: no error", busy)
		}
	}
}
