package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// TestReloadUnderLoadLosesNothing is guarantee G1 for new connections.
func TestReloadUnderLoadLosesNothing(t *testing.T) {
	const (
		reloads = 5
		workers = 4
		rate    = 500 // also under the race detector on a busy machine; bench/lossless asks for more
	)
	m, st := ready(t, "--workers", "4")
	before := pids(st)
	g := loadtest.Start(t, load.Config{Addr: addr(st), Rate: rate})
	for n := 1; n <= reloads; n++ {
		// Each reload meets a load that is under way.
		if err := g.Await(context.Background(), n*rate); err != nil {
			t.Fatalf("before reload %d: %v", n, err)
		}
		m.Signal(t, syscall.SIGHUP)
		want := uint64(n + 1)
		m.AwaitStatus(t, "the next generation", func(s testproc.Status) bool {
			if got := testproc.Listeners(t, port(t, st)); got != workers {
				t.Errorf("reload %d: %d listening sockets on the port, want %d", n, got, workers)
			}
			return s.Generation == want && s.State == "serving" && len(s.Ready()) == workers
		})
	}
	r := loadtest.End(t, g)
	t.Logf("%d scheduled, %d answered, %d lost, p99 %v", r.Scheduled, r.Answered, r.Lost(), r.Latency.P99)
	for slot, pid := range pids(m.Status(t)) {
		if pid == before[slot] {
			t.Errorf("slot %d is still served by pid %d", slot, pid)
		}
	}
	if len(r.ByGeneration) < reloads {
		t.Errorf("answers came from %d generations: the reloads met no load: %v", len(r.ByGeneration), r.ByGeneration)
	}
}

// TestReloadsThatOvertakeADrainLoseNothing: two processes in a slot are the
// limit, and the third waits for the first, which still reads a body: only what has
// brought no more than a part of its header goes on elsewhere.
func TestReloadsThatOvertakeADrainLoseNothing(t *testing.T) {
	m, st := ready(t, "--workers", "1", "--body-timeout", "60s")
	c := connect(t, addr(st))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	got := make([]byte, len(goOn))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != goOn {
		t.Fatalf("the header of a request is answered by %q, %v, want %q", got, err, goOn)
	}
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Fatalf("reload: %v", r)
	}
	m.Signal(t, syscall.SIGHUP)
	m.AwaitLine(t, "still drains")
	fmt.Fprint(c, "half")
	if a := readAll(t, c); !strings.Contains(a, "generation 1 ") {
		t.Errorf("the request that the first generation had half read got %q", a)
	}
	m.AwaitStatus(t, "the third generation", func(s testproc.Status) bool {
		return s.Generation == 3 && len(s.Workers) == 1
	})
}

func TestReloadCommandWaitsForTheNewGeneration(t *testing.T) {
	m, st := ready(t, "--workers", "2")
	r := m.Run(t, "reload", "--timeout", "20s")
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("reload: %v", r)
	}
	after := m.Status(t)
	if after.Generation != st.Generation+1 || len(after.Ready()) != 2 || after.LastReload.Result != "ok" {
		t.Errorf("after reload: generation %d, %d ready, last reload %+v", after.Generation, len(after.Ready()), after.LastReload)
	}
	if !strings.HasPrefix(r.Stdout, "reload done in 0.") || !strings.HasSuffix(r.Stdout, ": 0 connections handed over, 0 cut, 0 dropped (generation 2, 2 workers)\n") {
		t.Errorf("it says %q", r.Stdout)
	}
	if c := after.LastChange; c == nil || c.Text != "reload: nothing was lost: 0 connections handed over, 0 cut, 0 dropped" {
		t.Errorf("the status says %+v", c)
	}
}

func TestRollingReloadUnderLoadLosesNothing(t *testing.T) {
	m, st := ready(t, "--workers", "4", "--surge", "1")
	g := loadtest.Start(t, load.Config{Addr: addr(st), Rate: 500})
	if err := g.Await(context.Background(), 200); err != nil {
		t.Fatal(err)
	}
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Errorf("reload: %v", r)
	}
	loadtest.End(t, g)
	if got := m.Status(t).Generation; got != 2 {
		t.Errorf("generation %d, want 2", got)
	}
}

func TestScaleUpAndDown(t *testing.T) {
	m, st := ready(t, "--workers", "2")
	for _, step := range []struct {
		args    []string
		workers int
	}{
		{[]string{"+2"}, 4}, {[]string{"-1"}, 3}, {[]string{"1"}, 1}, {[]string{"3"}, 3},
	} {
		if r := m.Run(t, "scale", step.args...); r.Code != 0 {
			t.Fatalf("scale %v: %v", step.args, r)
		}
		m.AwaitStatus(t, "so many workers and sockets", func(s testproc.Status) bool {
			return len(s.Ready()) == step.workers && len(s.Workers) == step.workers &&
				testproc.Listeners(t, port(t, st)) == step.workers
		})
	}
	m.Signal(t, syscall.SIGTTIN)
	m.AwaitStatus(t, "one worker more", func(s testproc.Status) bool { return len(s.Ready()) == 4 })
	m.Signal(t, syscall.SIGTTOU)
	m.AwaitStatus(t, "one worker less", func(s testproc.Status) bool { return len(s.Workers) == 3 })
	oneLine(t, m.Run(t, "scale", "0"), 2, "workers", "0", "stop")
	oneLine(t, m.Run(t, "scale", "-5"), 2, "workers", "-2")
	oneLine(t, m.Run(t, "scale", "2000"), 2, "2000", "1024")
	for _, beyond := range []string{"+99999", "-99999", "99999999999999999999"} {
		oneLine(t, m.Run(t, "scale", beyond), 2, beyond, "1024")
	}
}

// TestReloadTellsWhatItCost: kept connections change their worker, and the line says how
// many; what a killed worker has is cut.
func TestReloadTellsWhatItCost(t *testing.T) {
	const kept = 30
	m, st := ready(t, "--workers", "2")
	conns := make([]net.Conn, kept)
	for i := range conns {
		conns[i] = connect(t, addr(st))
		if got := askAgain(t, conns[i]); !strings.Contains(got, "generation 1 ") {
			t.Fatalf("got %q", got)
		}
	}
	r := m.Run(t, "reload")
	if want := fmt.Sprintf(": %d connections handed over, 0 cut, 0 dropped (generation 2, 2 workers)\n", kept); r.Code != 0 || !strings.HasSuffix(r.Stdout, want) {
		t.Errorf("reload: %v, want %q", r, want)
	}
	for _, c := range conns {
		if got := askAgain(t, c); !strings.Contains(got, "generation 2 ") {
			t.Errorf("after the reload: %q", got)
		}
	}
	st = m.Status(t)
	if c := st.LastChange; c == nil || c.Cause != "reload" || c.HandedOver != kept || c.Cut != 0 {
		t.Errorf("the status says %+v", c)
	}
	victim := st.Workers[0]
	kill(t, victim.PID, syscall.SIGKILL)
	after := m.AwaitStatus(t, "the crash to be reported", func(s testproc.Status) bool { return s.LastChange.Cause == "crash" })
	if c := after.LastChange; c.Cut != victim.Connections || c.HandedOver != 0 {
		t.Errorf("the worker had %d connections, and the status says %+v", victim.Connections, c)
	}
}

// askAgain sends a request on a connection that stays, and returns the answer.
func askAgain(t *testing.T, c net.Conn) string {
	t.Helper()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Errorf("a kept connection: %v", err)
	}
	return string(b[:n])
}
