package loadtest

import (
	"context"
	"testing"

	"prefork/bench/load"
)

// Start begins a load that the test accompanies. Wait with Finish; a test that
// ends before that stops it.
func Start(t testing.TB, cfg load.Config) *load.Generator {
	t.Helper()
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
