package examples

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// goExample is a Go server that lives as a worker of ours.
type goExample struct {
	pkg        string
	selfHosted bool // else it is a COMMAND
}

var goExamples = map[string]goExample{
	"gohttp":     {"prefork/examples/gohttp", false},
	"fasthttp":   {"prefork/examples/fasthttp", false},
	"selfhosted": {"prefork/examples/selfhosted", true},
}

// start starts so many workers and waits until all of them serve.
func (e goExample) start(t *testing.T, workers string) (*testproc.Master, testproc.Status) {
	t.Helper()
	program, m := testproc.Program(t, e.pkg), (*testproc.Master)(nil)
	if e.selfHosted {
		m = testproc.PreforkOf(t, program, "--workers", workers)
	} else {
		m = testproc.Prefork(t, "--workers", workers, "--", program)
	}
	return m, m.AwaitState(t, "serving")
}

// TestGoExamplesUnderLoad: reloads, other numbers of workers and a worker's death
// lose nothing but what that worker held.
func TestGoExamplesUnderLoad(t *testing.T) {
	for name, e := range goExamples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const rate = 200
			m, st := e.start(t, "3")
			g := loadtest.Start(t, load.Config{Addr: st.Listen[0].Address, Rate: rate})
			for n, change := range [][]string{{"reload"}, {"scale", "1"}, {"scale", "4"}, {"reload"}} {
				loadtest.Await(t, g, (n+1)*rate)
				if r := m.Run(t, change[0], change[1:]...); r.Code != 0 {
					t.Errorf("%v: %s", change, r)
				}
			}
			r := loadtest.End(t, g)
			t.Logf("%d scheduled, %d answered, %d lost, p99 %v, generations %v", r.Scheduled, r.Answered, r.Lost(), r.Latency.P99, r.ByGeneration)
			checkCounted(t, m)
		})
	}
}

// checkCounted: the workers tell what they do, which a COMMAND of another kind
// cannot.
func checkCounted(t *testing.T, m *testproc.Master) {
	t.Helper()
	const rate = 100
	before := m.Status(t)
	r := loadtest.Finish(t, loadtest.Start(t, load.Config{Addr: before.Listen[0].Address, Rate: rate, Duration: time.Second}))
	accepted, requests := counted(m.Status(t))
	acceptedBefore, requestsBefore := counted(before)
	if accepted-acceptedBefore != uint64(r.Answered) || requests-requestsBefore != uint64(r.Answered) {
		t.Errorf("the workers have counted %d connections and %d requests more, want %d", accepted-acceptedBefore, requests-requestsBefore, r.Answered)
	}
}

func counted(st testproc.Status) (accepted, requests uint64) {
	for _, w := range st.Ready() {
		accepted, requests = accepted+w.Accepted, requests+w.Requests
	}
	return accepted, requests
}

// TestGoExamplesHelp: with one of two workers stopped, half of the connections come
// to its socket, and its sibling serves them. Then it is killed, and is replaced.
func TestGoExamplesHelp(t *testing.T) {
	for name, e := range goExamples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, st := e.start(t, "2")
			stopped := st.Ready()[1].PID
			testproc.Stop(t, stopped)
			r := loadtest.Finish(t, loadtest.Start(t, load.Config{Addr: st.Listen[0].Address, Rate: 100, Duration: time.Second}))
			if r.ByPID[stopped] > 0 || r.Answered != r.Scheduled {
				t.Errorf("%d of %d were answered, %d by the worker that was stopped", r.Answered, r.Scheduled, r.ByPID[stopped])
			}
			if helped := m.Status(t).Ready()[0].Helped; helped == 0 {
				t.Error("the sibling says that it has not helped")
			}
			if err := syscall.Kill(stopped, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			m.AwaitStatus(t, "the successor of the worker that was killed", func(s testproc.Status) bool {
				ready := s.Ready()
				return len(ready) == 2 && ready[1].PID != stopped
			})
		})
	}
}

// TestSelfHostedTellsOfNewCode: a reload cannot start what was built meanwhile, and
// says so.
func TestSelfHostedTellsOfNewCode(t *testing.T) {
	t.Parallel()
	built := testproc.Program(t, goExamples["selfhosted"].pkg)
	program := filepath.Join(t.TempDir(), "shop")
	deploy(t, built, program)
	m := testproc.PreforkOf(t, program, "--workers", "1")
	m.AwaitState(t, "serving")
	if r := m.Run(t, "reload"); r.Code != 0 || strings.Contains(r.Stdout, "but") {
		t.Errorf("reload of the same program: %s", r)
	}
	deploy(t, built, program)
	if r := m.Run(t, "reload"); r.Code != 0 || !strings.Contains(r.Stdout, "\nbut the program on disk is another one by now") {
		t.Errorf("reload after a deployment: %s", r)
	}
	m.AwaitLine(t, "reload keeps the code")
}

// deploy puts a program in its place, as install(1) does.
func deploy(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", text, 0o700)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLineEcho: a protocol that nobody else knows is drained like HTTP, and its
// connections go on in the next worker, in the middle of a line too.
func TestLineEcho(t *testing.T) {
	t.Parallel()
	m, st := goExample{pkg: "prefork/examples/lineecho"}.start(t, "2")
	address := st.Listen[0].Address
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := echo(address); err != nil {
				t.Errorf("line %d: %v", n, err)
				return
			}
		}
	}()
	finish := sync.OnceFunc(func() { close(stop); <-ended })
	defer finish()
	half := dial(t, address)
	fmt.Fprint(half, "half ")
	m.AwaitStatus(t, "a connection that waits", func(s testproc.Status) bool {
		return s.Ready()[0].Connections+s.Ready()[1].Connections > 0
	})
	for _, change := range [][]string{{"reload"}, {"scale", "1"}, {"scale", "3"}} {
		if r := m.Run(t, change[0], change[1:]...); r.Code != 0 {
			t.Errorf("%v: %s", change, r)
		}
	}
	fmt.Fprint(half, "a line\n")
	answers := bufio.NewReader(half)
	if got, err := answers.ReadString('\n'); err != nil || !strings.HasSuffix(got, ": half a line\n") {
		t.Errorf("half a line before a reload: %q, %v", got, err)
	}
	fmt.Fprint(half, "another\n")
	if got, err := answers.ReadString('\n'); err != nil || !strings.HasSuffix(got, ": another\n") {
		t.Errorf("another line on a connection that has changed its worker: %q, %v", got, err)
	}
	finish()
	if accepted, requests := counted(m.Status(t)); accepted == 0 || requests == 0 {
		t.Errorf("the workers have counted %d connections and %d lines", accepted, requests)
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func connect(address string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", address, testproc.Patience)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(testproc.Patience))
	}
	return c, err
}

// echo says a line and goodbye on a connection of its own.
func echo(address string) error {
	c, err := connect(address)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprint(c, "good morning\nquit\n")
	got, err := io.ReadAll(c)
	if err == nil && !strings.HasSuffix(string(got), ": good morning\n") {
		err = fmt.Errorf("the answer is %q", got)
	}
	return err
}
