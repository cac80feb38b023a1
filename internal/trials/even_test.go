package trials

import (
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

const (
	// evenMax is how many times the mean a worker may hold ...
	evenMax = 1.3
	// evenAfter ... so long after a burst, or after a death.
	evenAfter = 5 * time.Second
)

// TestKeptConnectionsEvenOut: clients that connect in one burst and stay end up where
// they were accepted, by whoever woke first, and those of a worker that died with its
// siblings. Both even out, and cost nobody a request but those in the dead one's hands.
//
// It judges a time, so it does not run beside others.
func TestKeptConnectionsEvenOut(t *testing.T) {
	for _, clients := range []int{64, size(500, 2000)} {
		s := serve(t)
		s.prove(t)
		g := loadtest.Start(t, load.Config{Addr: s.addr, Mode: load.KeepAlive, Clients: clients, Burst: true, Rate: rate(1000), Duration: time.Minute})
		s.awaitEven(t, clients)
		victim := s.heaviest(t)
		s.kill(victim.PID)
		s.awaitSuccessor(t, victim.PID)
		s.awaitEven(t, clients)
		// Each connection of the dead one costs a request: the others shall be nine in ten.
		loadtest.Await(t, g, 12*int(victim.Connections))
		g.Stop()
		o := s.finish(t, g, time.Minute)
		o.atMost(t, "requests failed beyond those on the dead worker's connections", o.failed, int(victim.Connections))
	}
}

// awaitEven waits until all clients are connected, and then for evenAfter at most
// until they are evenly spread.
func (s *service) awaitEven(t *testing.T, clients int) {
	t.Helper()
	held := func(st testproc.Status) (all, most uint64) {
		for _, w := range st.Ready() {
			all, most = all+w.Connections, max(most, w.Connections)
		}
		return all, most
	}
	connected := func(st testproc.Status) bool {
		all, _ := held(st)
		return len(st.Ready()) == workers && all >= uint64(clients)*9/10 // a client whose connection died comes back with its next request
	}
	_, worst := held(s.await(t, "the clients to be connected", connected))
	began := time.Now()
	even := func(st testproc.Status) bool {
		all, most := held(st)
		return connected(st) && float64(most)*workers <= evenMax*float64(all)
	}
	s.await(t, "the clients to be spread evenly", even)
	took := time.Since(began)
	t.Logf("%d clients: the most with one worker were %d, even after %s", clients, worst, took.Round(time.Millisecond))
	if took -= s.pauses.allowed(span{began, began.Add(took)}); took > evenAfter {
		t.Errorf("it took %s until nobody held more than %.1f times the mean, want %s at most", took, evenMax, evenAfter)
	}
}

// heaviest is the worker with most connections.
func (s *service) heaviest(t *testing.T) (heaviest testproc.WorkerStatus) {
	t.Helper()
	for _, w := range s.look(t).Ready() {
		if w.Connections >= heaviest.Connections {
			heaviest = w
		}
	}
	return heaviest
}
