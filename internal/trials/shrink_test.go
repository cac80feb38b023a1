package trials

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// TestShrinkAndGrow goes from four workers to one and back, again and again: what
// waits for a worker that goes is served by itself or its siblings.
func TestShrinkAndGrow(t *testing.T) {
	t.Parallel()
	sync, err := filepath.Abs("../../examples/python/sync.py")
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]struct {
		rate int
		args []string
	}{
		"reactor":    {3000, nil},
		"goroutines": {3000, []string{"--engine", "goroutines"}},
		"program":    {size(200, 500), []string{"--", "python3", sync}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "program" {
				needs(t, "python3", "python3")
			}
			s := serve(t, kind.args...)
			s.scale(t, 1)
			perSecond := s.bearable(t, rate(kind.rate))
			s.scale(t, workers)
			g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: perSecond, Duration: 2 * time.Minute, Timeout: shrinkTimeout})
			loadtest.Await(t, g, perSecond/4)
			for range size(2, 8) {
				s.scale(t, 1)
				loadtest.Await(t, g, g.Answered()+perSecond/10)
				s.scale(t, workers)
				loadtest.Await(t, g, g.Answered()+perSecond/10)
			}
			g.Stop()
			o := s.finish(t, g, time.Second)
			o.atMost(t, "requests failed", o.failed, 0)
		})
	}
}

// TestShrinkOverTheDead takes away the slots of workers that are dead, while the one
// that stays stands still: no slot closes before it has emptied them, although it
// watched only two of the three.
func TestShrinkOverTheDead(t *testing.T) {
	t.Parallel()
	for name, args := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, args...)
			perSecond := rate(1000)
			g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: perSecond, Duration: time.Minute, Timeout: shrinkTimeout})
			loadtest.Await(t, g, perSecond/4)
			all := s.look(t).Ready()
			for _, w := range all {
				if err := s.stop(w.PID); err != nil {
					t.Fatal(err)
				}
			}
			st := s.await(t, "queues", func(st testproc.Status) bool {
				return !slices.ContainsFunc(st.Workers, func(w testproc.WorkerStatus) bool { return w.AcceptQueue < perSecond/10 })
			})
			if r := s.Run(t, "scale", "1"); r.Code != 0 {
				t.Fatalf("scale 1: %v", r)
			}
			inHands := 0
			for _, w := range st.Workers[1:] {
				inHands += int(w.Connections)
				s.kill(w.PID)
			}
			s.await(t, "their deaths", func(st testproc.Status) bool { return len(st.Workers) == 1 })
			if err := s.resume(all[0].PID); err != nil {
				t.Fatal(err)
			}
			s.awaitCalm(t, 1)
			loadtest.Await(t, g, g.Answered()+perSecond/10)
			g.Stop()
			o := s.finish(t, g, time.Second)
			t.Logf("%d connections were in the hands of the killed", inHands)
			o.atMost(t, "requests failed that were in nobody's hands", o.failed-inHands, 0)
		})
	}
}

// shrinkTimeout is long: only what is lost counts, however slow one worker is alone.
const shrinkTimeout = 20 * time.Second

// bearable is a rate of requests that the workers of now bear, at best the given
// one. A queue that overflows because the machine is busy with other things loses
// connections too, and nobody's mistake.
func (s *service) bearable(t *testing.T, perSecond int) int {
	t.Helper()
	const (
		halvings = 3
		within   = 200 * time.Millisecond
	)
	for range halvings {
		g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: perSecond, Duration: 500 * time.Millisecond})
		if r := g.Wait(); r.Latency.P90 <= within {
			break
		}
		perSecond /= 2
	}
	t.Logf("%d requests a second", perSecond)
	return perSecond
}
