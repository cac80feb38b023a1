package trials

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// TestSpreadAfterAShortage: a worker that is out of descriptors takes its sockets out
// of its loop, and comes back behind its siblings. They have to step back, or it gets
// hardly anything for the rest of its life.
func TestSpreadAfterAShortage(t *testing.T) {
	const (
		ratioMax = 1.6 // it was 30 and more; the finer judgement is TestSpreadAfterReloadsAndAKill's
		rooms    = 12  // for connections, in each worker
	)
	s := serve(t)
	s.prove(t)
	for slot := range workers {
		limitDescriptors(t, s.serving(t, slot), rooms)
	}
	for range 3 * rooms * workers {
		holdOpen(t, s.addr)
	}
	s.AwaitLine(t, "too many open files: accepting pauses")
	for slot := range workers { // enough for everybody, also for those who wait
		limitDescriptors(t, s.serving(t, slot), 20*rooms)
	}
	testproc.Await(t, "nobody waits", func() bool {
		waiting := 0
		for _, w := range s.Status(t).Workers {
			waiting += w.AcceptQueue
		}
		return waiting == 0
	})
	var ratio float64
	for range 5 { // the order comes back within a second, and a busy moment is none
		g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: 800, Duration: time.Second})
		o := s.finish(t, g, time.Second)
		o.atMost(t, "requests failed", o.failed, 0)
		ratio = spread(o.BySlot)
		t.Logf("connections by slot %v: ratio %.2f", o.BySlot, ratio)
		if ratio <= ratioMax {
			return
		}
	}
	t.Errorf("the busiest worker got %.2f times the connections of the idlest, want at most %.2f", ratio, ratioMax)
}

// limitDescriptors leaves a process so many numbers above those that it uses.
func limitDescriptors(t testing.TB, pid, rooms int) {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: uint64(len(list) + rooms), Max: 4096}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

// holdOpen opens a connection that stays until the test ends, with half a request:
// a worker has it then, and does not wait for more than that.
func holdOpen(t testing.TB, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: trial\r\n")); err != nil {
		t.Fatal(err)
	}
}
