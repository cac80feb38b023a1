package trials

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

const (
	// ticksPerSecond is USER_HZ, the unit of times in /proc, 100 on every Linux
	// that Go runs on.
	ticksPerSecond = 100
	// idleTicksMax is what a process may run in idleWindow: a twentieth. One that
	// spins takes all of it, or half of it beside another.
	idleTicksMax = 10
	idleWindow   = 2 * time.Second
	// descriptorsPatience is the time that what closes has to be closed.
	descriptorsPatience = 5 * time.Second
)

// TestRest: after changes and deaths nobody works for nothing, and master and
// workers hold what they held before, no more and no less.
//
// The engines run beside each other: CPU time is each process's own.
func TestRest(t *testing.T) {
	for name, args := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, args...)
			before := s.descriptors(t, nil)
			g := loadtest.Start(t, load.Config{Addr: s.addr, Rate: rate(500), Duration: time.Minute})
			s.scale(t, 1)
			s.scale(t, workers)
			for range size(2, 5) {
				s.reload(t)
			}
			s.prove(t)
			victim := s.serving(t, 2)
			s.kill(victim)
			s.awaitSuccessor(t, victim)
			victim = s.serving(t, 1)
			if err := s.stop(victim); err != nil {
				t.Fatal(err)
			}
			loadtest.Await(t, g, g.Answered()+50)
			if err := s.resume(victim); err != nil {
				t.Fatal(err)
			}
			g.Stop()
			o := s.finish(t, g, time.Second)
			o.atMost(t, "requests failed that no kill explains", s.unexplained(t, o, 1), 0)
			s.awaitRest(t)
			s.sameDescriptors(t, before)
		})
	}
}

// awaitSuccessor waits until somebody else serves the slot of a worker that died.
func (s *service) awaitSuccessor(t *testing.T, victim int) {
	t.Helper()
	s.await(t, "the successor", func(st testproc.Status) bool {
		return len(st.Ready()) == workers && len(st.Workers) == workers &&
			!slices.ContainsFunc(st.Workers, func(w testproc.WorkerStatus) bool { return w.PID == victim })
	})
}

// awaitRest checks that nobody works while nobody comes. What follows a change may
// take a second.
func (s *service) awaitRest(t *testing.T) {
	t.Helper()
	st := s.awaitCalm(t, workers)
	pace(time.Second)
	pids := map[string]int{"master": s.PID()}
	for _, w := range st.Workers {
		pids[fmt.Sprintf("worker of slot %d", w.Slot)] = w.PID
	}
	before := cpuTicks(t, pids)
	pace(idleWindow)
	after := cpuTicks(t, pids)
	for name := range pids {
		if used := after[name] - before[name]; used > idleTicksMax {
			t.Errorf("the %s ran for %d ms of %s in which nobody came", name, used*1000/ticksPerSecond, idleWindow)
		}
	}
}

// cpuTicks is the CPU time of processes: fields 14 and 15 of proc_pid_stat(5).
func cpuTicks(t *testing.T, pids map[string]int) map[string]int {
	t.Helper()
	ticks := map[string]int{}
	for name, pid := range pids {
		fields, err := statFields(pid)
		if err != nil {
			t.Fatalf("CPU time of the %s: %v", name, err)
		}
		for _, field := range fields[11:13] {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			ticks[name] += n
		}
	}
	return ticks
}

// descriptors counts what master and workers have open, by kind: "socket",
// "anon_inode", "pipe" or a path. It waits until the count is as wanted, without
// a wish until it rests: the question who the workers are has opened a connection
// to the master.
func (s *service) descriptors(t *testing.T, wanted map[string]int) map[string]int {
	t.Helper()
	st := s.awaitCalm(t, workers)
	deadline := time.Now().Add(descriptorsPatience)
	for previous := wanted; ; {
		open := map[string]int{}
		countDescriptors(t, open, "master", s.PID())
		for _, w := range st.Workers {
			countDescriptors(t, open, fmt.Sprintf("slot %d", w.Slot), w.PID)
		}
		if maps.Equal(open, previous) || time.Now().After(deadline) {
			return open
		}
		if wanted == nil {
			previous = open
		}
		pace(statusInterval)
	}
}

func countDescriptors(t *testing.T, open map[string]int, who string, pid int) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		// One that was closed meanwhile is none.
		if target, err := os.Readlink(folder + "/" + entry.Name()); err == nil {
			open[who+" "+kindOf(target)]++
		}
	}
}

// kindOf leaves out what differs between two of a kind: the number of a socket.
func kindOf(target string) string {
	if kind, _, found := strings.Cut(target, ":["); found && kind != "anon_inode" { // "anon_inode:[eventpoll]" says more
		return kind
	}
	return target
}

// sameDescriptors checks that as many are open as before.
func (s *service) sameDescriptors(t *testing.T, before map[string]int) {
	t.Helper()
	now := s.descriptors(t, before)
	kinds := maps.Clone(before)
	maps.Copy(kinds, now)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if before[kind] != now[kind] {
			t.Errorf("open descriptors, %s: %d, before it was %d", kind, now[kind], before[kind])
		}
	}
}
