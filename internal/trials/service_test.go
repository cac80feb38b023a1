package trials

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

const (
	// workers is how many every service has to begin with.
	workers = 4
	// statusInterval is how often a trial looks whether something is so. Each look
	// costs the master a little, which must not stand in what is judged.
	statusInterval = 30 * time.Millisecond
)

// engines are the arguments for each kind of worker of our own.
var engines = map[string][]string{"reactor": nil, "goroutines": {"--engine", "goroutines"}}

// service is a master that a trial started, and what was done to its workers.
type service struct {
	*testproc.Master
	addr   string
	pauses *pauses
	asker  *http.Client

	mu    sync.Mutex
	stops map[int][]span // by PID: when it was stopped; no end yet: the zero time
	kills []time.Time
}

// serve starts a service and waits until it serves.
func serve(t testing.TB, args ...string) *service {
	t.Helper()
	return accompany(t, testproc.Prefork(t, serviceArgs(args)...))
}

// serveTrial is serve with the app whose requests can misbehave.
func serveTrial(t testing.TB, args ...string) *service {
	t.Helper()
	return accompany(t, testproc.PreforkTrial(t, serviceArgs(append([]string{"--app", "trial"}, args...))...))
}

func serviceArgs(args []string) []string {
	return append([]string{"--workers", strconv.Itoa(workers), "--identify"}, args...)
}

func accompany(t testing.TB, m *testproc.Master) *service {
	t.Helper()
	st := m.AwaitState(t, "serving")
	s := &service{
		Master: m, addr: st.Listen[0].Address, pauses: watchPauses(t),
		stops: map[int][]span{},
	}
	s.asker = &http.Client{Timeout: testproc.Patience, Transport: &http.Transport{
		DisableKeepAlives: true, // a connection to the master would count among its descriptors
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", m.Control)
		},
	}}
	return s
}

// prove waits until all workers have proved themselves: one that is killed in its
// first second is replaced after a back-off.
func (s *service) prove(t testing.TB) {
	t.Helper()
	s.await(t, "workers older than early deaths", func(st testproc.Status) bool {
		young := slices.ContainsFunc(st.Ready(), func(w testproc.WorkerStatus) bool { return !proved(w) })
		return len(st.Ready()) == workers && !young
	})
}

// proved is true a little later than for the master, who counts from ready.
func proved(w testproc.WorkerStatus) bool { return w.AgeSeconds > 1.5 }

// status asks the control socket itself: a process for each look, as
// `prefork status` is, would be a load of its own.
func (s *service) status() (st testproc.Status, err error) {
	response, err := s.asker.Get("http://prefork/v1/status")
	if err != nil {
		return st, err
	}
	defer response.Body.Close()
	return st, json.NewDecoder(response.Body).Decode(&st)
}

// look is status for the goroutine of the test.
func (s *service) look(t testing.TB) testproc.Status {
	t.Helper()
	st, err := s.status()
	if err != nil {
		t.Fatalf("look at the status: %v", err)
	}
	return st
}

// await waits until the status is as wanted.
func (s *service) await(t testing.TB, what string, wanted func(testproc.Status) bool) testproc.Status {
	t.Helper()
	deadline := time.Now().Add(testproc.Patience)
	ticker := time.NewTicker(statusInterval)
	defer ticker.Stop()
	for {
		st := s.look(t)
		if wanted(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: not so after %s: %+v", what, testproc.Patience, st)
		}
		<-ticker.C
	}
}

// awaitCalm waits until so many workers serve and nobody else is there.
func (s *service) awaitCalm(t testing.TB, n int) testproc.Status {
	t.Helper()
	return s.await(t, fmt.Sprintf("%d workers and nobody else", n), func(st testproc.Status) bool {
		return st.State == "serving" && len(st.Workers) == n && len(st.Ready()) == n
	})
}

// scale waits until no worker is left that is not wanted.
func (s *service) scale(t testing.TB, n int) {
	t.Helper()
	if r := s.Run(t, "scale", strconv.Itoa(n)); r.Code != 0 {
		t.Fatalf("scale %d: %v", n, r)
	}
	s.awaitCalm(t, n)
}

// reload waits until the new generation serves and the old one has gone.
func (s *service) reload(t testing.TB) {
	t.Helper()
	generation := s.look(t).Generation
	s.Signal(t, syscall.SIGHUP)
	s.await(t, "the next generation", func(st testproc.Status) bool {
		return st.Generation > generation && st.State == "serving" && len(st.Workers) == workers && len(st.Ready()) == workers
	})
}

// signal sends a signal to a worker that the status named. The number may have
// become another process's since, which is then spared: the check comes AFTER
// the handle, which means one process for ever.
func (s *service) signal(pid int, sig syscall.Signal) error {
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(handle)
	if parent, err := parentOf(pid); err != nil || parent != s.PID() {
		return fmt.Errorf("process %d is no child of the master: its parent is %d (%v)", pid, parent, err)
	}
	return os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(handle, sig, nil, 0))
}

// kill kills a worker and remembers when, from BEFORE the signal on. One that has
// just ended by itself is as dead.
func (s *service) kill(pid int) {
	s.mu.Lock()
	s.kills = append(s.kills, time.Now())
	s.mu.Unlock()
	_ = s.signal(pid, syscall.SIGKILL)
}

// stop stops a worker and remembers since when, from BEFORE the signal on.
func (s *service) stop(pid int) error {
	s.mu.Lock()
	s.stops[pid] = append(s.stops[pid], span{from: time.Now()})
	s.mu.Unlock()
	return s.signal(pid, syscall.SIGSTOP)
}

// resume lets it go on. It may have been killed meanwhile.
func (s *service) resume(pid int) error {
	err := s.signal(pid, syscall.SIGCONT)
	s.mu.Lock()
	defer s.mu.Unlock()
	spans := s.stops[pid]
	spans[len(spans)-1].to = time.Now() // AFTER the signal
	return err
}

// wasStopped says whether a worker was stopped in some part of a span.
func (s *service) wasStopped(pid int, when span) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stop := range s.stops[pid] {
		if stop.to.IsZero() {
			stop.to = time.Now()
		}
		if stop.overlap(when) > 0 {
			return true
		}
	}
	return false
}

// helped is how many connections workers took for their siblings, of those that
// are there now.
func helped(st testproc.Status) (sum uint64) {
	for _, w := range st.Workers {
		sum += w.Helped
	}
	return sum
}

// checkLog fails for what must never stand in a log, whatever was done.
func (s *service) checkLog(t testing.TB) {
	t.Helper()
	for _, never := range []string{"invariant broken", "panic: ", "fatal error: ", "DATA RACE", "breaks the protocol"} {
		if n := strings.Count(s.Output(), never); n > 0 {
			t.Errorf("the log says %q %d times", never, n)
		}
	}
}

// parentOf reads /proc/PID/stat: "pid (name) state parent …", see
// proc_pid_stat(5).
func parentOf(pid int) (int, error) {
	fields, err := statFields(pid)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(fields[1])
}

// statFields are those after the name, which may hold anything.
func statFields(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])), nil
}

// needs skips a trial whose program is not installed.
func needs(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed (Debian package %s)", program, pkg)
	}
}
