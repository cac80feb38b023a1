package trials

import (
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// TestKilledInTurn kills a worker every 400 ms, each in turn: a kill costs the
// request that the worker was at, and nobody waits for its successor.
//
// It judges a time, so it does not run beside others.
func TestKilledInTurn(t *testing.T) {
	const limit = time.Second
	s := serve(t)
	s.prove(t)
	perSecond := rate(2000)
	kills := size(5, 20)
	g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: perSecond, Duration: time.Minute, SlowAfter: limit})
	loadtest.Await(t, g, perSecond/4)
	for n := range kills {
		due := time.Now().Add(400 * time.Millisecond)
		s.kill(s.serving(t, n%workers))
		pace(time.Until(due))
	}
	g.Stop()
	o := s.finish(t, g, limit)
	o.atMost(t, "requests failed that no kill explains", s.unexplained(t, o, 1), 0)
	o.atMost(t, "answers were late", len(o.late), 0)
	s.awaitCalm(t, workers)
}

// serving is the PID of the worker that serves a slot.
func (s *service) serving(t *testing.T, slot int) (pid int) {
	t.Helper()
	s.await(t, "a worker in the slot", func(st testproc.Status) bool {
		for _, w := range st.Ready() {
			if w.Slot == slot {
				pid = w.PID
				return true
			}
		}
		return false
	})
	return pid
}
