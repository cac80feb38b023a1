package loadtest

import (
	"context"
	"testing"
	"time"

	"prefork/bench/load"
)

// longest bounds a load that goes on until End: what it accompanies may take so
// long on a busy machine, or has failed.
const longest = 2 * time.Minute

// Start begins a load that the test accompanies. One with a Duration ends by itself:
// wait with Finish. One without goes on until End, however long the machine takes for
// what is done under it. A test that ends before that stops it.
func Start(t testing.TB, cfg load.Config) *load.Generator {
	t.Helper()
	if cfg.Duration == 0 {
		cfg.Duration = longest
	}
	g, err := load.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Stop(); g.Wait() })
	return g
}

// Await waits until so many requests were due.
func Await(t testing.TB, g *load.Generator, requests int) {
	t.Helper()
	if err := g.Await(context.Background(), requests); err != nil {
		t.Fatalf("before request %d: %v", requests, err)
	}
}

// End ends a load that was started without a Duration, and judges as Finish does.
func End(t testing.TB, g *load.Generator) load.Report {
	t.Helper()
	g.Stop()
	return Finish(t, g)
}

// Finish waits for the load's end and checks that nothing was lost and that at
// least nine in ten of the scheduled requests were answered.
func Finish(t testing.TB, g *load.Generator) load.Report {
	t.Helper()
	r := g.Wait()
	for class, n := range r.Failed {
		t.Errorf("%d requests failed: %v", n, class)
	}
	if r.Answered*10 < r.Scheduled*9 {
		t.Errorf("%d of %d scheduled requests were answered, want at least 90 %%", r.Answered, r.Scheduled)
	}
	if t.Failed() {
		t.Logf("the load:\n%v", r)
	}
	return r
}
