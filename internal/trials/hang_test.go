package trials

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

const (
	// inHands is how many connections a worker can have accepted and not answered
	// when it stops: one a turn, and those that it reads. With goroutines, where
	// accepting does not wait for the handlers, it can be more on a busy machine;
	// the worker's own count says how many.
	inHands = 3
	// hangLate is later than any answer of a service that has three workers left, also
	// on a machine that is busy with other things, and sooner than any hang ends.
	hangLate = 500 * time.Millisecond
	// hangRate and hangTimeout together make at most 2,000 connections at once,
	// whatever stands still.
	hangRate    = 1000
	hangTimeout = 2 * time.Second
)

// TestStopped stops a worker and lets it go on: only what it had accepted waits
// for it.
//
// It judges a time: the engines run beside each other, and nobody else does.
func TestStopped(t *testing.T) {
	long := size(1500*time.Millisecond, 5*time.Second)
	for name, args := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, args...)
			g := s.startHangLoad(t)
			victim := s.look(t).Ready()[chances(t, *seed).IntN(workers)].PID
			before := helped(s.look(t))
			if err := s.stop(victim); err != nil {
				t.Fatal(err)
			}
			pace(long)
			st := s.look(t)
			// It may have been stopped between an accept and the end of the turn that counts it.
			after, held := helped(st), connections(st, victim)+1
			if err := s.resume(victim); err != nil {
				t.Fatal(err)
			}
			loadtest.Await(t, g, g.Answered()+rate(hangRate)/4)
			t.Logf("%d connections at most were in the hands of the stopped worker", held)
			if name == "reactor" {
				held = inHands
			}
			s.judgeHang(t, g, max(held, inHands))
			// A quarter of all connections came to the socket of the stopped worker.
			if n := int(after - before); n < rate(hangRate)/4 {
				t.Errorf("siblings took %d connections of a worker that was stopped for %s", n, long)
			}
			if st := s.awaitCalm(t, workers); restarts(st) != 0 {
				t.Errorf("a worker was replaced that was stopped for less than hang-timeout")
			}
		})
	}
}

// TestStoppedForEver leaves it stopped: after hang-timeout there is a successor,
// and the worker, which cannot hear SIGABRT, is killed.
func TestStoppedForEver(t *testing.T) {
	t.Parallel()
	if !*full {
		t.Skip("only with -full")
	}
	s := serve(t, "--hang-timeout", "3s")
	g := s.startHangLoad(t)
	victim := s.look(t).Ready()[chances(t, *seed).IntN(workers)].PID
	if err := s.stop(victim); err != nil {
		t.Fatal(err)
	}
	s.AwaitLine(t, "stood still for hang-timeout 3s")
	s.awaitReady(t, victim)
	s.AwaitLine(t, "still there 5s after SIGABRT")
	s.AwaitLine(t, "killed by SIGKILL")
	s.awaitSuccessor(t, victim)
	s.judgeHang(t, g, inHands)
}

// TestSpinning sends a request whose handler never returns. The reactor's loop
// stands still with it: the siblings serve its queue, and after hang-timeout it is
// aborted, with its stacks in the log, and replaced. A goroutine spins beside others.
//
// It judges a time: the engines run beside each other, and nobody else does.
func TestSpinning(t *testing.T) {
	for name, args := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTrial(t, append([]string{"--hang-timeout", "3s", "--drain-timeout", "1s"}, args...)...)
			g := s.startHangLoad(t)
			conn := s.request(t, "/spin")
			defer conn.Close()
			if name == "reactor" {
				s.AwaitLine(t, "stood still for hang-timeout 3s")
				s.AwaitLine(t, "SIGABRT: abort")
				s.AwaitLine(t, "goroutine 1 ")
				s.await(t, "the successor", func(st testproc.Status) bool { return restarts(st) == 1 })
				s.awaitCalm(t, workers)
			} else {
				pace(size(2*time.Second, 5*time.Second))
			}
			s.judgeHang(t, g, inHands)
			if st := s.look(t); name != "reactor" && restarts(st) != 0 {
				t.Errorf("a worker was replaced whose loop went on: %+v", st)
			}
		})
	}
}

// TestBlocked sends a request whose handler blocks for longer than any client
// waits, but not for hang-timeout: it is answered in the end.
//
// It judges a time: the engines run beside each other, and nobody else does.
func TestBlocked(t *testing.T) {
	long := size(1500*time.Millisecond, 5*time.Second)
	for name, args := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTrial(t, args...)
			g := s.startHangLoad(t)
			conn := s.request(t, "/sleep/"+long.String())
			defer conn.Close()
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
				t.Errorf("the request that blocked got %q, %v", answer, err)
			}
			s.judgeHang(t, g, inHands)
			if st := s.awaitCalm(t, workers); restarts(st) != 0 {
				t.Errorf("a worker was replaced that blocked for less than hang-timeout")
			}
		})
	}
}

// request sends one and does not wait for the answer.
func (s *service) request(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp4", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(testproc.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, s.addr); err != nil {
		t.Fatal(err)
	}
	return conn
}

// awaitReady waits until all slots are served by somebody else.
func (s *service) awaitReady(t *testing.T, victim int) {
	t.Helper()
	s.await(t, "the successor to serve", func(st testproc.Status) bool {
		for _, w := range st.Ready() {
			if w.PID == victim {
				return false
			}
		}
		return len(st.Ready()) == workers
	})
}

func (s *service) startHangLoad(t *testing.T) *load.Generator {
	t.Helper()
	g := loadtest.Start(t, load.Config{
		Addr: s.addr, Rate: rate(hangRate), Duration: time.Minute, Timeout: hangTimeout, SlowAfter: hangLate,
	})
	loadtest.Await(t, g, rate(hangRate)/4)
	return g
}

// judgeHang ends the load: only what was in the hands of the worker failed or was
// late.
func (s *service) judgeHang(t *testing.T, g *load.Generator, limit int) {
	t.Helper()
	g.Stop()
	o := s.finish(t, g, hangLate)
	lost := o.failed
	if o.still {
		lost -= o.Failed[load.TimedOut]
	}
	o.atMost(t, "requests failed or were late", lost+o.held+len(o.late), limit)
}

// connections is how many a worker has open.
func connections(st testproc.Status, pid int) int {
	for _, w := range st.Workers {
		if w.PID == pid {
			return int(w.Connections)
		}
	}
	return 0
}

func restarts(st testproc.Status) (sum int) {
	for _, w := range st.Workers {
		sum += w.Restarts
	}
	return sum
}
