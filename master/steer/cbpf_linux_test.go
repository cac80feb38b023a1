package steer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// server is listening sockets on one port of 127.0.0.1, and goroutines that answer
// each connection with the generation of its socket.
type server struct {
	t       testing.TB
	port    int
	order   Order
	serving sync.WaitGroup
}

func newServer(t testing.TB) *server {
	s := &server{t: t}
	t.Cleanup(func() {
		s.order.End()
		for _, fd := range s.order.FDs() {
			s.order.Leave(fd)
		}
		if err := s.order.Settle(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// listen adds n sockets and returns them.
func (s *server) listen(n int) (fds []int) {
	s.t.Helper()
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: s.port, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err == nil {
			err = unix.Listen(fd, 4096)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			s.t.Fatal(err)
		}
		s.port = name.(*unix.SockaddrInet4).Port
		s.order.Join(fd)
		fds = append(fds, fd)
	}
	return fds
}

func (s *server) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *server) mustSettle() {
	s.t.Helper()
	if err := s.order.Settle(); err != nil {
		s.t.Fatal(err)
	}
}

// serve answers on the sockets until it is told to leave and has then found all
// of their queues empty. It returns the way to tell it, which waits.
func (s *server) serve(fds []int, generation byte) (leave func()) {
	var leaving atomic.Bool
	done := make(chan struct{})
	s.serving.Go(func() {
		defer close(done)
		for !(answerAll(s.t, fds, generation) == 0 && leaving.Load()) {
		}
	})
	return func() { leaving.Store(true); <-done }
}

// answerAll waits a moment for connections and answers them.
func answerAll(t testing.TB, fds []int, generation byte) (answered int) {
	polled := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		polled[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	if _, err := unix.Poll(polled, 5); err != nil && !errors.Is(err, unix.EINTR) {
		t.Error(err)
		return 0
	}
	for _, fd := range fds {
		for {
			c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				break // nothing waits
			}
			if _, err := unix.Write(c, []byte{generation}); err != nil {
				t.Error(err)
			}
			_ = unix.Close(c)
			answered++
		}
	}
	return answered
}

// ask connects and returns the generation that answers.
func ask(address string) (byte, error) {
	c, err := net.DialTimeout("tcp", address, 20*time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(c)
	if err == nil && len(answer) != 1 {
		err = fmt.Errorf("%d bytes", len(answer))
	}
	if err != nil {
		return 0, err
	}
	return answer[0], nil
}

func TestOnlyLiveSocketsGetConnections(t *testing.T) {
	t.Parallel()
	const sockets, connections = 12, 360
	s := newServer(t)
	fds := s.listen(sockets)
	for _, live := range [][]int{
		{0}, {11}, {5}, {0, 1, 2}, {9, 10, 11}, {1, 3, 5, 7}, {0, 2, 4, 6, 8, 10}, {0, 1, 5, 6, 7, 11}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
	} {
		s.order.SetLive(func(fd int) bool { return slices.Contains(live, slices.Index(fds, fd)) })
		s.mustSettle()
		var open []net.Conn
		for range connections {
			c, err := net.Dial("tcp", s.address())
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
		}
		for i, fd := range fds {
			got := accept(fd)
			if want := slices.Contains(live, i); (got > 0) != want {
				t.Errorf("live %v: socket %d got %d connections", live, i, got)
			}
			if mean := connections / len(live); slices.Contains(live, i) && (got < mean/4 || got > 4*mean) {
				t.Errorf("live %v: socket %d got %d connections, want about %d", live, i, got, mean)
			}
		}
		for _, c := range open {
			_ = c.Close()
		}
	}
}

// accept takes what waits in a queue, and counts it.
func accept(fd int) (n int) {
	for {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return n
		}
		_ = unix.Close(c)
		n++
	}
}

// TestProgramsOfEveryLength: the kernel takes the longest program that there can
// be, every other one of 2,048 sockets.
func TestProgramsOfEveryLength(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	fd := s.listen(1)[0]
	var live []int
	for i := range 1024 {
		live = append(live, 2*i+1)
	}
	for _, n := range []int{1, 2, 3, 255, 256, 257, 1023, 1024} {
		if err := Attach(fd, live[:n]); err != nil {
			t.Errorf("%d sockets: %v", n, err)
		}
	}
	if got := len(Program(live)); got > 4096 {
		t.Errorf("%d instructions, and the kernel takes 4096", got)
	}
	for range 2 { // a second time there is none
		if err := Detach(fd); err != nil {
			t.Error(err)
		}
	}
	if err := Attach(-1, live); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: got %v", err)
	}
}

// TestSwapsUnderLoad: fresh sockets take over from old ones again and again while
// clients connect as fast as they can. Nobody fails, and once a generation has
// taken over no other answers.
func TestSwapsUnderLoad(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			t.Parallel()
			const swaps, connectionsAtLeast = 6, 6000
			s := newServer(t)
			fds := s.listen(slots)
			s.order.SetLive(func(fd int) bool { return slices.Contains(fds, fd) })
			s.mustSettle()
			leave := s.serve(fds, 1)
			load := startLoad(s.address())
			for generation := byte(2); generation < 2+swaps; generation++ {
				load.await(t, int64(generation-1)*connectionsAtLeast/(swaps+1))
				if err := s.order.Brace(); err != nil {
					t.Fatal(err)
				}
				fresh := s.listen(slots)
				leaveNext := s.serve(fresh, generation)
				s.order.SetLive(func(fd int) bool { return slices.Contains(fresh, fd) })
				s.mustSettle()
				pause(2 * time.Millisecond) // FACTS: a handshake that has begun goes on
				if got, err := ask(s.address()); err != nil || got != generation {
					t.Errorf("after the swap generation %d answers (%v), want %d", got, err, generation)
				}
				leave()
				for _, fd := range fds {
					s.order.Leave(fd)
				}
				s.mustSettle()
				if got := len(s.order.FDs()); got != slots {
					t.Errorf("%d sockets are open, want %d", got, slots)
				}
				fds, leave = fresh, leaveNext
			}
			load.await(t, connectionsAtLeast)
			load.stop()
			leave()
			s.serving.Wait()
			if n := load.failed.Load(); n > 0 {
				t.Errorf("%d of %d connections failed, the first by %v", n, load.done.Load(), load.first.Load())
			}
			t.Logf("%d connections over %d swaps of %d sockets: %d failed", load.done.Load(), swaps, slots, load.failed.Load())
		})
	}
}

func pause(d time.Duration) { <-time.After(d) }

// load is clients that connect one after the other until they are stopped.
type load struct {
	done, failed atomic.Int64
	first        atomic.Value // error
	ended        atomic.Bool
	clients      sync.WaitGroup
}

func startLoad(address string) *load {
	l := &load{}
	for range 4 {
		l.clients.Go(func() {
			for !l.ended.Load() {
				if _, err := ask(address); err != nil {
					l.failed.Add(1)
					l.first.CompareAndSwap(nil, err.Error())
				}
				l.done.Add(1)
			}
		})
	}
	return l
}

func (l *load) await(t testing.TB, n int64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(60 * time.Second); l.done.Load() < n; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections in a minute, want %d", l.done.Load(), n)
		}
	}
}

func (l *load) stop() { l.ended.Store(true); l.clients.Wait() }
