package trials

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pauseProbe = 5 * time.Millisecond   // how long each sleep of a watcher is
	pauseLeast = 10 * time.Millisecond  // a sleep that took so much longer is a pause
	pauseFelt  = 250 * time.Millisecond // after its end, while what came in it is served
	pausesMax  = 100_000                // that are kept
)

// span is a time from one moment to another.
type span struct{ from, to time.Time }

// overlap is how much of the span lies within another.
func (s span) overlap(other span) time.Duration {
	from, to := s.from, s.to
	if other.from.After(from) {
		from = other.from
	}
	if other.to.Before(to) {
		to = other.to
	}
	return max(0, to.Sub(from))
}

// pauses are the times in which a CPU of this machine did not run somebody whose
// sleep was over: because it belongs to a virtual machine that stood still, or
// to others. No service can answer in such a time, and a trial that blamed it
// would fail on every busy machine.
//
// One thread is bound to each CPU and sleeps for a few milliseconds again and
// again, as a worker does that waits for a connection.
type pauses struct {
	over chan struct{}
	all  sync.WaitGroup
	cpus int

	mu    sync.Mutex
	spans []span
}

// watchPauses watches until the test ends.
func watchPauses(t testing.TB) *pauses {
	t.Helper()
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatalf("sched_getaffinity: %v", err)
	}
	p := &pauses{over: make(chan struct{})}
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			p.cpus++
			p.all.Go(func() { p.watch(cpu) })
		}
	}
	t.Cleanup(func() {
		close(p.over)
		p.all.Wait()
	})
	return p
}

func (p *pauses) watch(cpu int) {
	// Never unlocked: the thread ends with the goroutine, and nobody inherits its CPU.
	runtime.LockOSThread()
	var only unix.CPUSet
	only.Set(cpu)
	_ = unix.SchedSetaffinity(0, &only) // refused: it watches whatever CPU it gets
	for {
		select {
		case <-p.over:
			return
		default:
		}
		began := time.Now()
		interval := unix.NsecToTimespec(int64(pauseProbe))
		_ = unix.Nanosleep(&interval, nil) // EINTR: a shorter sleep is as good
		if now := time.Now(); now.Sub(began) > pauseProbe+pauseLeast {
			p.add(span{began.Add(pauseProbe), now})
		}
	}
}

func (p *pauses) add(s span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spans) < pausesMax {
		p.spans = append(p.spans, s)
	}
}

// allowed is how much later an answer may be that was waited for in a span. It is
// how long CPUs paused, all taken together, because client, worker and master may
// each have waited for another one; and as long again, because what came in a
// pause has to be served after it.
func (p *pauses) allowed(s span) (sum time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.from = s.from.Add(-pauseFelt)
	for _, pause := range p.spans {
		sum += 2 * pause.overlap(s)
	}
	return sum
}

// share is the part of a span in which a CPU paused, on average over all of them.
func (p *pauses) share(s span) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum time.Duration
	for _, pause := range p.spans {
		sum += pause.overlap(s)
	}
	return float64(sum) / float64(s.to.Sub(s.from)) / float64(p.cpus)
}

// longest is for the log.
func (p *pauses) longest() (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pause := range p.spans {
		longest = max(longest, pause.to.Sub(pause.from))
	}
	return longest
}

func TestPausesAreTakenOff(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.Time{}.Add(time.Duration(ms) * time.Millisecond) }
	p := pauses{}
	p.add(span{at(100), at(200)})
	p.add(span{at(150), at(250)}) // of another CPU
	for _, test := range []struct{ from, to, want int }{
		{0, 100, 0}, {0, 120, 40}, {0, 300, 400}, {160, 170, 180}, {450, 500, 100}, {500, 600, 0},
	} {
		if got := p.allowed(span{at(test.from), at(test.to)}); got != time.Duration(test.want)*time.Millisecond {
			t.Errorf("from %d to %d ms: got %v, want %d ms", test.from, test.to, got, test.want)
		}
	}
}
