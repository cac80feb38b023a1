package master

import (
	"testing"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/master/control"
)

// TestReloadsBetweenEnginesLoseNothing runs real workers, and each reload changes
// the engine of the next generation under load.
func TestReloadsBetweenEnginesLoseNothing(t *testing.T) {
	t.Parallel()
	const rate, reloads = 500, 4
	r := newRig(t, 2)
	r.orders.Engine = "goroutines"
	st := r.serving(t)
	g := loadtest.Start(t, load.Config{Addr: st.Listen[0].Address, Rate: rate})
	for n := 1; n <= reloads; n++ {
		loadtest.Await(t, g, n*rate/2)
		r.orders.Engine = []string{"goroutines", "reactor"}[n%2]
		r.order(t)
		if answer := r.do(t, control.Command{Verb: control.Reload}); answer.Result != control.ResultOK {
			t.Fatalf("reload %d to %s: %+v", n, r.orders.Engine, answer)
		}
	}
	report := loadtest.End(t, g)
	if len(report.ByGeneration) < reloads {
		t.Errorf("answers came from %d generations: the reloads met no load: %v", len(report.ByGeneration), report.ByGeneration)
	}
}
