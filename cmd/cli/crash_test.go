package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// kill sends a signal to a worker that a master of this test started. The
// status names it by slot and incarnation, so the PID is that worker's or
// nobody's: the master has not reaped it.
func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("pidfd of worker %d: %v", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		t.Fatalf("signal worker %d: %v", pid, err)
	}
}

// processState returns the letter of a process's state, "T" for stopped
// (proc_pid_stat(5)).
func processState(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(b[bytes.LastIndexByte(b, ')')+2:][:1])
}

// proven waits until every worker has been ready for longer than an early
// death would take.
func proven(t *testing.T, m *testproc.Master, workers int) testproc.Status {
	t.Helper()
	return m.AwaitStatus(t, "workers older than early deaths", func(s testproc.Status) bool {
		for _, w := range s.Ready() {
			if w.AgeSeconds < 2 {
				return false
			}
		}
		return len(s.Ready()) == workers
	})
}

// TestKilledWorkerIsReplaced is guarantee G4: what waits in the queue of a dead
// worker is answered by its successor.
func TestKilledWorkerIsReplaced(t *testing.T) {
	m, _ := ready(t, "--workers", "1")
	st := proven(t, m, 1)
	victim := st.Workers[0]
	kill(t, victim.PID, syscall.SIGSTOP)
	testproc.Await(t, "the worker to stand still", func() bool { return processState(t, victim.PID) == "T" })
	const waiting = 20
	answers := make(chan string, waiting)
	for range waiting {
		c := connect(t, addr(st))
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		go func() {
			b := make([]byte, 4096)
			n, err := c.Read(b)
			answers <- fmt.Sprintf("%s %v", b[:n], err)
		}()
	}
	kill(t, victim.PID, syscall.SIGKILL)
	for range waiting {
		if a := <-answers; !strings.Contains(a, "200 OK") {
			t.Errorf("a connection that waited in the queue got %q, want an answer", a)
		}
	}
	after := m.AwaitStatus(t, "the successor", func(s testproc.Status) bool { return len(s.Ready()) == 1 })
	if w := after.Workers[0]; w.Incarnation <= victim.Incarnation || w.Restarts != 1 {
		t.Errorf("successor is incarnation %d after %d restarts, want one later than %d and 1", w.Incarnation, w.Restarts, victim.Incarnation)
	}
	m.AwaitLine(t, "killed by SIGKILL")
}

func TestKilledAgainAndAgainBacksOffWhileTheOthersServe(t *testing.T) {
	m, _ := ready(t, "--workers", "2")
	st := proven(t, m, 2)
	g := loadtest.Start(t, load.Config{Addr: addr(st), Rate: 200})
	// On a slow machine a worker may prove itself before the test has seen it,
	// so the number of kills is open; the back-off must come in the end.
	const deathsMax = 30
	deaths := 0
	for !strings.Contains(m.Output(), "early end number 3") {
		if deaths++; deaths > deathsMax {
			t.Fatalf("no back-off after %d deaths", deathsMax)
		}
		st := m.AwaitStatus(t, "a worker in slot 0", func(s testproc.Status) bool { return pids(s)[0] != 0 })
		kill(t, pids(st)[0], syscall.SIGKILL)
		m.AwaitStatus(t, "its death", func(s testproc.Status) bool {
			return len(s.Workers) > 0 && s.Workers[0].Restarts == deaths
		})
	}
	g.Stop()
	r := g.Wait()
	if lost := r.Lost(); lost > deaths { // a kill may hit one request that was accepted
		t.Errorf("%d requests lost by %d kills, want at most one each:\n%v", lost, deaths, r)
	}
	if r.BySlot[1] == 0 {
		t.Errorf("the other worker served nothing: %v", r.BySlot)
	}
}

// TestStoppedWorkerIsReplaced is the part of guarantee G5 that is given now.
func TestStoppedWorkerIsReplaced(t *testing.T) {
	m, st := ready(t, "--workers", "2", "--hang-timeout", "4s", "--start-timeout", "20s")
	kill(t, pids(st)[0], syscall.SIGSTOP)
	m.AwaitStatus(t, "the word unwell", func(s testproc.Status) bool {
		return len(s.Workers) > 0 && s.Workers[0].State == "unwell"
	})
	m.AwaitLine(t, "stood still for hang-timeout 4s")
	after := m.AwaitStatus(t, "the successor", func(s testproc.Status) bool { return len(s.Ready()) == 2 && pids(s)[0] != pids(st)[0] })
	if after.State != "serving" {
		t.Errorf("state %q, want serving", after.State)
	}
}

// TestDeletedBinaryStillStartsWorkers: an upgrade of the package deletes the
// file of a running master.
func TestDeletedBinaryStillStartsWorkers(t *testing.T) {
	dir := testproc.SocketDir(t)
	binary := filepath.Join(dir, "prefork")
	content, err := os.ReadFile(testproc.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, content, 0o755); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(dir, "c.sock")
	p := testproc.Start(t, exec.Command(binary, "run", "--control", control, "-l", "127.0.0.1:0", "-w", "1"))
	p.AwaitLine(t, "prefork serves")
	if err := os.Remove(binary); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "reload", "--control", control, "--timeout", "20s"); r.Code != 0 {
		t.Errorf("reload after the binary was deleted: %v", r)
	}
	if r := command(t, "stop", "--control", control); r.Code != 0 {
		t.Errorf("stop: %v", r)
	}
	p.AwaitExit(t)
}

// TestWorkerThatIsToldToLeaveIsReplacedFirst: somebody sends SIGTERM to a
// worker by hand.
func TestWorkerThatIsToldToLeaveIsReplacedFirst(t *testing.T) {
	m, _ := ready(t, "--workers", "1")
	st := proven(t, m, 1)
	g := loadtest.Start(t, load.Config{Addr: addr(st), Rate: 200})
	if err := g.Await(context.Background(), 100); err != nil {
		t.Fatal(err)
	}
	kill(t, st.Workers[0].PID, syscall.SIGTERM)
	m.AwaitLine(t, "leaves of its own accord")
	m.AwaitStatus(t, "the successor", func(s testproc.Status) bool {
		return len(s.Ready()) == 1 && s.Ready()[0].PID != st.Workers[0].PID
	})
	loadtest.End(t, g)
}
