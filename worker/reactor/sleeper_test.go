package reactor

import (
	"runtime"
	"testing"
	"time"

	"prefork/internal/testproc"
)

// wakes has a connection arrive while the sleeper sleeps, and says whether the loop
// was told.
func (r *rig) wakes(s *testproc.Sleeper, listening int) bool {
	r.t.Helper()
	_, told := r.arrive(s, listening)
	return told
}

// loseWake makes a connection whose wake-up is lost: the sleeper has it. Now and
// then the sleeper does not sleep yet when the connection comes, which the loop
// then accepts; so it takes several attempts.
func (r *rig) loseWake(s *testproc.Sleeper, listening int) *client {
	r.t.Helper()
	for range 50 {
		if c, told := r.arrive(s, listening); !told {
			return c
		}
	}
	r.t.Fatal("the loop is told of every connection, although somebody who came first sleeps")
	return nil
}

func (r *rig) arrive(s *testproc.Sleeper, listening int) (c *client, told bool) {
	r.t.Helper()
	before := r.accepted
	s.Sleep()
	c = r.dialTo(listening)
	awaitQueue(r.t, listening, 1)
	woken := s.Rise()
	r.quiet()
	if told = r.accepted > before; !told && !woken {
		r.t.Fatal("nobody was told of the connection")
	}
	return c, told
}

// awaitQueue waits until so many have arrived, without a turn of any loop.
func awaitQueue(t testing.TB, listening, want int) {
	t.Helper()
	for end := time.Now().Add(patienceOfTests); ; runtime.Gosched() {
		n, err := queueLength(listening)
		must(t, err)
		if n == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections wait, want %d", n, want)
		}
	}
}
