package trials

import (
	"path/filepath"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
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
		"program":    {500, []string{"--", "python3", sync}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "program" {
				needs(t, "python3", "python3")
			}
			s := serve(t, kind.args...)
			g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: rate(kind.rate), Duration: time.Minute})
			loadtest.Await(t, g, rate(kind.rate)/4)
			for range size(3, 8) {
				s.scale(t, 1)
				loadtest.Await(t, g, g.Answered()+rate(kind.rate)/10)
				s.scale(t, workers)
				loadtest.Await(t, g, g.Answered()+rate(kind.rate)/10)
			}
			g.Stop()
			o := s.finish(t, g, time.Second)
			o.atMost(t, "requests failed", o.failed, 0)
		})
	}
}
