package trials

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

const (
	// lostByKill is what a worker can have in its hands when it is killed: the
	// request that it answers, and a connection that it accepted before that.
	lostByKill = 2
	// stormTimeout is longer than any stop lasts: what a stopped worker holds is
	// answered in the end, unless it is killed meanwhile.
	stormTimeout = 10 * time.Second
	// stormLate is how late an answer may be that no stopped worker held.
	stormLate = time.Second

	leastWorkers, mostWorkers = 2, 6
)

// TestStorm does everything at random while clients come.
//
// It judges a time, so it does not run beside others.
func TestStorm(t *testing.T) {
	for n := range size(1, 3) {
		seed := *seed + uint64(n)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := serve(t)
			perSecond := rate(1000)
			g := loadtest.Start(t, load.Config{
				Addr: s.addr, Rate: perSecond, Duration: 2 * time.Minute, Timeout: stormTimeout, SlowAfter: stormLate,
			})
			loadtest.Await(t, g, perSecond/4)
			storm := &storm{s: s, chance: chances(t, seed), stopped: map[int]bool{}}
			for end := time.Now().Add(size(4*time.Second, time.Minute)); time.Now().Before(end); {
				storm.act(t)
				pace(50*time.Millisecond + time.Duration(storm.chance.Int64N(int64(350*time.Millisecond))))
			}
			storm.ending.Wait()
			s.scale(t, workers)
			g.Stop()
			o := s.finish(t, g, stormLate)
			t.Logf("acts: %v", storm.acts)
			o.atMost(t, "requests failed that no kill explains", s.unexplained(t, o, lostByKill), 0)
			o.atMost(t, "requests refused", o.Failed[load.Refused], 0)
			o.atMost(t, "requests timed out", o.Failed[load.TimedOut], 0)
			o.atMost(t, "bad answers", o.Failed[load.BadAnswer], 0)
			o.atMost(t, "answers were late", len(o.late), 0)
			if *full {
				s.awaitRest(t)
			}
		})
	}
}

// storm is what was done so far.
type storm struct {
	s      *service
	chance *rand.Rand
	acts   map[string]int
	ending sync.WaitGroup

	mu      sync.Mutex
	stopped map[int]bool // PIDs
}

// act does one thing, whatever is under way.
func (m *storm) act(t *testing.T) {
	t.Helper()
	if m.acts == nil {
		m.acts = map[string]int{}
	}
	st := m.s.look(t)
	ready := st.Ready()
	switch choice := m.chance.IntN(10); {
	case choice < 2:
		m.tell(t, "HUP", syscall.SIGHUP)
	case choice < 4 && len(ready) < mostWorkers, len(ready) <= leastWorkers:
		m.tell(t, "TTIN", syscall.SIGTTIN)
	case choice < 6:
		m.tell(t, "TTOU", syscall.SIGTTOU)
	case choice < 8:
		victim := ready[m.chance.IntN(len(ready))]
		m.acts["KILL"]++
		m.s.kill(victim.PID)
	default:
		m.stop(ready[m.chance.IntN(len(ready))], time.Duration(20+m.chance.IntN(400))*time.Millisecond)
	}
}

func (m *storm) tell(t *testing.T, name string, sig syscall.Signal) {
	t.Helper()
	m.acts[name]++
	m.s.Signal(t, sig)
}

// stop stops a worker for a while, one at a time.
func (m *storm) stop(victim testproc.WorkerStatus, long time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.stopped) > 0 {
		return
	}
	m.acts["STOP"]++
	m.stopped[victim.PID] = true
	_ = m.s.stop(victim.PID) // it may just have left
	m.ending.Go(func() {
		pace(long)
		_ = m.s.resume(victim.PID) // it may have been killed
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.stopped, victim.PID)
	})
}
