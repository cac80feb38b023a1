package trials

import (
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

const (
	// inHands is how many connections a worker can have accepted and not answered
	// when it stops: one a turn, and those that it reads.
	inHands = 3
	// hangLate is later than any answer of a service that has three workers left.
	hangLate = 250 * time.Millisecond
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
			after := helped(s.look(t))
			if err := s.resume(victim); err != nil {
				t.Fatal(err)
			}
			loadtest.Await(t, g, g.Answered()+rate(hangRate)/4)
			s.judgeHang(t, g)
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
	s.judgeHang(t, g)
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
func (s *service) judgeHang(t *testing.T, g *load.Generator) {
	t.Helper()
	g.Stop()
	o := s.finish(t, g, hangLate)
	o.atMost(t, "requests failed or were late", o.failed+o.held+len(o.late), inHands)
}

func restarts(st testproc.Status) (sum int) {
	for _, w := range st.Workers {
		sum += w.Restarts
	}
	return sum
}
