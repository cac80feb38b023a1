package trials

import (
	"syscall"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
)

// TestLowLoad reloads and kills while hardly anybody comes. Under load the next
// connection wakes somebody who finds the one that was forgotten; here nobody
// comes for 200 ms, and a lost wake-up shows.
//
// It runs beside others: what it judges is a connection that was forgotten until
// the next look at the queues, which no other load explains.
func TestLowLoad(t *testing.T) {
	t.Parallel()
	const (
		limit     = 250 * time.Millisecond
		perSecond = 5
	)
	reloads, kills := size(4, 12), size(2, 6)
	long := size(6*time.Second, 30*time.Second)
	s := serve(t)
	s.prove(t)
	chance := chances(t, *seed)
	g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: perSecond, Duration: long + time.Second, SlowAfter: limit})
	began := time.Now()
	for n := range reloads {
		// A moment of its own in each interval: requests are due every 200 ms, and
		// a trial in step with them would always hit the same one.
		due := began.Add(time.Duration(n)*long/time.Duration(reloads) + time.Duration(chance.Int64N(int64(200*time.Millisecond))))
		pace(time.Until(due))
		s.Signal(t, syscall.SIGHUP)
		if n%(reloads/kills) == 0 {
			pace(long/time.Duration(reloads)/2 + time.Duration(chance.Int64N(int64(200*time.Millisecond))))
			s.kill(s.serving(t, chance.IntN(workers)))
		}
	}
	o := s.finish(t, g, limit)
	o.atMost(t, "requests failed by kills", o.failed, 1)
	o.atMost(t, "requests failed that no kill explains", s.unexplained(t, o, 1), 0)
	o.atMost(t, "answers were late", len(o.late), 0)
	if st := s.awaitCalm(t, workers); st.Generation != uint64(1+reloads) {
		t.Errorf("generation %d after %d reloads", st.Generation, reloads)
	}
}
