package master

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/config"
)

// crew is workers that answer every connection with their revision and slot. It
// plays the part of the processes; the test is the loop, and owns the sockets.
type crew struct {
	t       testing.TB
	s       *sockets
	working sync.WaitGroup
}

// hire has workers of the revision accept in every slot, and returns the way to
// send them home: each goes when what is left to it alone was taken.
func (c *crew) hire(revision uint64, slots int) (leave []func()) {
	for slot := range slots {
		var polled []unix.PollFd
		for _, l := range c.s.of(revision, slot) {
			polled = append(polled, unix.PollFd{Fd: int32(l.FD), Events: unix.POLLIN})
		}
		var leaving atomic.Bool
		done := make(chan struct{})
		c.working.Go(func() {
			defer close(done)
			for !leaving.Load() {
				c.work(polled, fmt.Sprintf("%d/%d", revision, slot))
			}
		})
		leave = append(leave, func() {
			testproc.Await(c.t, "the queue to be empty", func() bool { return !c.s.exclusive(revision, slot) || c.s.waiting(revision, slot) == 0 })
			leaving.Store(true)
			<-done
		})
	}
	return leave
}

// work answers what waits.
func (c *crew) work(polled []unix.PollFd, answer string) {
	if _, err := unix.Poll(polled, 5); err != nil && !errors.Is(err, unix.EINTR) {
		c.t.Error(err)
	}
	for _, p := range polled {
		for {
			fd, _, err := unix.Accept4(int(p.Fd), unix.SOCK_CLOEXEC)
			if err != nil {
				break // nothing waits
			}
			if _, err := unix.Write(fd, []byte(answer)); err != nil {
				c.t.Error(err)
			}
			_ = unix.Close(fd)
		}
	}
}

// clients connect to addresses one after the other until they are told to stop.
type clients struct {
	done, failed, refused atomic.Int64
	first                 atomic.Value // string
	ended                 atomic.Bool
	running               sync.WaitGroup
}

func startClients(address string) *clients {
	c := &clients{}
	for range 2 {
		c.running.Go(func() {
			for !c.ended.Load() {
				_, err := hear(address)
				switch {
				case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
					c.refused.Add(1)
					<-time.After(time.Millisecond) // there is nothing to load
				case err != nil:
					c.failed.Add(1)
					c.first.CompareAndSwap(nil, err.Error())
				}
				c.done.Add(1)
			}
		})
	}
	return c
}

// hear connects and returns the answer.
func hear(address string) (string, error) {
	c, err := dial(address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(testproc.Patience)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	if err == nil && len(answer) == 0 {
		err = errors.New("closed without an answer")
	}
	return string(answer), err
}

func (c *clients) await(t testing.TB, n int64) {
	t.Helper()
	testproc.Await(t, "the load", func() bool { return c.done.Load() >= n })
}

// finish stops them and checks that nobody failed; refused says whether some may
// have been refused.
func (c *clients) finish(t testing.TB, what string, refused bool) {
	t.Helper()
	c.ended.Store(true)
	c.running.Wait()
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%s: %d of %d connections failed, the first by %v", what, n, c.done.Load(), c.first.Load())
	}
	if got := c.refused.Load() > 0; got != refused {
		t.Errorf("%s: %d of %d connections were refused", what, c.refused.Load(), c.done.Load())
	}
	t.Logf("%s: %d connections, %d failed, %d refused", what, c.done.Load(), c.failed.Load(), c.refused.Load())
}

// TestFreshSocketsUnderLoad: another program takes over again and again, all at
// once and slot by slot, on TCP with both queues and on a Unix socket.
func TestFreshSocketsUnderLoad(t *testing.T) {
	t.Parallel()
	const swaps, perSwap = 6, 1000
	for _, test := range []struct {
		kind  string
		slots int
	}{{"slot", 1}, {"slot", 2}, {"slot", 4}, {"shared", 2}, {"unix", 2}} {
		t.Run(fmt.Sprintf("%s %d", test.kind, test.slots), func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:0"
			if test.kind == "unix" {
				address = "unix:" + filepath.Join(testproc.SocketDir(t), "web")
			}
			of := func(revision int) config.Config {
				cfg := listening(t, fmt.Sprint("program ", revision), address)
				if test.kind == "shared" {
					cfg = sharing(cfg)
				}
				return cfg
			}
			s := mustOpenSockets(t, test.slots, of(1))
			c := &crew{t: t, s: s}
			leave := c.hire(1, test.slots)
			address = s.addresses()[0]
			load := startClients(address)
			for n := 2; n < 2+swaps; n++ {
				load.await(t, int64((n-1)*perSwap))
				revision := uint64(n)
				mustDo(t, s.grow(revision, of(n), test.slots))
				next := c.hire(revision, test.slots)
				for slot := range test.slots {
					s.serve(revision, slot)
					if n%2 == 0 { // slot by slot
						mustDo(t, s.apply())
						leave[slot]()
					}
				}
				mustDo(t, s.apply())
				mustBeAnsweredBy(t, s, address, revision)
				if n%2 != 0 {
					for _, leave := range leave {
						leave()
					}
				}
				mustDo(t, s.forget(revision-1))
				mustDo(t, s.apply())
				leave = next
			}
			load.await(t, (swaps+1)*perSwap)
			load.finish(t, fmt.Sprintf("%d swaps of %d slots (%s)", swaps, test.slots, test.kind), false)
			for _, leave := range leave {
				leave()
			}
			c.working.Wait()
		})
	}
}

// mustBeAnsweredBy checks that only workers of the revision answer, once the
// change has settled.
func mustBeAnsweredBy(t testing.TB, s *sockets, address string, revision uint64) {
	t.Helper()
	<-time.After(settleTime)
	for range 10 {
		answer, err := hear(address)
		var got uint64
		if _, scanErr := fmt.Sscanf(answer, "%d/", &got); err != nil || scanErr != nil || got != revision {
			t.Errorf("after the swap %q answers (%v), want revision %d", answer, err, revision)
		}
	}
}

// TestEverythingChangesUnderLoad: one address stays, one goes, one comes, the
// program and the number of slots change, and a change that fails comes between.
func TestEverythingChangesUnderLoad(t *testing.T) {
	t.Parallel()
	const perStep = 1500
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	mustDo(t, err)
	defer taken.Close()
	dir := testproc.SocketDir(t)
	s := mustOpenSockets(t, 2, listening(t, "a", "127.0.0.1:0", "[::1]:0", "unix:"+dir+"/kept", "unix:"+dir+"/gone"))
	c := &crew{t: t, s: s}
	leave := c.hire(1, 2)
	addresses := s.addresses()
	var loads []*clients
	for _, address := range addresses {
		loads = append(loads, startClients(address))
	}
	for _, load := range loads {
		load.await(t, perStep)
	}
	if err := s.grow(2, listening(t, "b", "127.0.0.1:0", "unix:"+dir+"/kept", "[::]:0", taken.Addr().String()), 4); err == nil {
		t.Error("an address that is taken was opened")
	}
	mustDo(t, s.grow(3, listening(t, "b", "127.0.0.1:0", "unix:"+dir+"/kept", "[::]:0", "unix:"+dir+"/new"), 4))
	mustDo(t, s.abandon(3))
	mustDo(t, s.forget(3))
	for _, slot := range []int{3, 2} {
		mustDo(t, s.shrink(slot))
	}
	for _, load := range loads {
		load.await(t, 2*perStep)
	}
	mustDo(t, s.grow(4, listening(t, "b", "127.0.0.1:0", "unix:"+dir+"/kept", "[::]:0", "unix:"+dir+"/new"), 4))
	next := c.hire(4, 4)
	mustServeAll(t, s, 4, 4)
	added := []*clients{startClients(s.addresses()[2]), startClients(s.addresses()[3])}
	for _, address := range []string{addresses[0], addresses[2]} {
		mustBeAnsweredBy(t, s, address, 4)
	}
	for _, leave := range leave {
		leave()
	}
	mustDo(t, s.forget(1))
	mustDo(t, s.apply())
	for _, load := range slices.Concat(loads, added) {
		load.await(t, 3*perStep)
	}
	for i, load := range loads {
		load.finish(t, addresses[i], i%2 == 1)
	}
	for _, load := range added {
		load.finish(t, "a new address", false)
	}
	for _, leave := range next {
		leave()
	}
	c.working.Wait()
	if got := listeners(t, addresses[0]); got != 4 {
		t.Errorf("%d sockets listen, want 4", got)
	}
}
