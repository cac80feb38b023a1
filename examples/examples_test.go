package examples

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// full repeats what is a matter of chance, some minutes.
var full = flag.Bool("full", false, "repeat the changes under load, some minutes")

func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }

// rounds is how often a change under load is made.
func rounds(often int) int {
	if *full {
		return often
	}
	return 1
}

// example is one of the workers of this folder.
type example struct {
	program string // that must be installed, with the package that has it
	pkg     string
	command []string
	rate    int      // of new connections a second that it bears on a machine of its own
	flags   []string // of prefork
}

var examples = map[string]example{
	"python sync":       {"python3", "python3", []string{"python3", "python/sync.py"}, 200, nil},
	"python threaded":   {"python3", "python3", []string{"python3", "python/threaded.py"}, 200, nil},
	"python coroutines": {"python3", "python3", []string{"python3", "python/coroutines.py"}, 200, nil},
	"python helping":    {"python3", "python3", []string{"python3", "python/helping.py"}, 200, []string{"--sibling-fds"}},
	"node":              {"node", "nodejs", []string{"node", "node/hello.js"}, 200, nil},
	"sh":                {"perl", "perl", []string{"sh/worker.sh"}, 20, nil},
}

// TestExamplesReload: reloads under new connections lose none.
func TestExamplesReload(t *testing.T) {
	for name, e := range examples {
		t.Run(name, func(t *testing.T) {
			reloads := rounds(4)
			m, st := e.start(t, 4)
			before := st.Ready()
			g, rate := e.startLoad(t, st)
			for n := 1; n <= reloads; n++ {
				loadtest.Await(t, g, n*rate)
				m.Signal(t, syscall.SIGHUP)
				m.AwaitStatus(t, "the next generation", func(s testproc.Status) bool {
					return s.Generation == uint64(n+1) && s.State == "serving" && len(s.Ready()) == 4
				})
			}
			r := loadtest.End(t, g)
			t.Logf("%d scheduled, %d answered, %d lost, p99 %v, generations %v", r.Scheduled, r.Answered, r.Lost(), r.Latency.P99, r.ByGeneration)
			for _, old := range before {
				for _, w := range m.Status(t).Ready() {
					if w.PID == old.PID {
						t.Errorf("slot %d is still served by pid %d", w.Slot, w.PID)
					}
				}
			}
		})
	}
}

// TestExamplesKeepTheirClients: programs that close their connections politely lose no
// request on a connection that is kept.
func TestExamplesKeepTheirClients(t *testing.T) {
	for _, name := range []string{"python coroutines", "node"} {
		t.Run(name, func(t *testing.T) {
			const clients, rate = 8, 80 // each asks ten times a second
			m, st := examples[name].start(t, 2)
			g := loadtest.Start(t, load.Config{
				Addr: st.Listen[0].Address, Mode: load.KeepAlive, Clients: clients, Rate: rate, Timeout: testproc.Patience,
			})
			reloads := rounds(4)
			for n := 1; n <= reloads; n++ {
				loadtest.Await(t, g, n*rate)
				if r := m.Run(t, "reload"); r.Code != 0 {
					t.Fatalf("reload: %v", r)
				}
				m.AwaitStatus(t, "the old workers to have gone", func(st testproc.Status) bool { return len(st.Workers) == 2 })
			}
			r := loadtest.End(t, g)
			t.Logf("%d answered, %d lost, %d connections, generations %v", r.Answered, r.Lost(), r.Connections, r.ByGeneration)
			if len(r.ByGeneration) < reloads+1 {
				t.Errorf("answers came from generations %v: the reloads met no load", r.ByGeneration)
			}
		})
	}
}

// TestExamplesShrinkAndGrow: from four workers to one and back under new connections,
// again and again, loses none. A program that has one socket empties it itself.
func TestExamplesShrinkAndGrow(t *testing.T) {
	for _, name := range []string{"python sync", "python helping", "sh"} {
		t.Run(name, func(t *testing.T) {
			rounds := rounds(3)
			e := examples[name]
			m, st := e.start(t, 4)
			g, rate := e.startLoad(t, st)
			for n := 1; n <= rounds; n++ {
				loadtest.Await(t, g, n*rate)
				for _, workers := range []string{"1", "4"} {
					if result := m.Run(t, "scale", workers); result.Code != 0 {
						t.Fatalf("scale %s: %s", workers, result)
					}
				}
			}
			r := loadtest.End(t, g)
			t.Logf("%d scheduled, %d answered, %d lost, p99 %v, slots %v", r.Scheduled, r.Answered, r.Lost(), r.Latency.P99, r.BySlot)
		})
	}
}

// TestHelpingExample: with one of three workers stopped, a third of the connections
// come to its socket, and its siblings serve them.
func TestHelpingExample(t *testing.T) {
	const rate = 50
	m, st := examples["python helping"].start(t, 3)
	stopped := st.Ready()[1].PID
	testproc.Stop(t, stopped)
	t.Cleanup(func() { _ = syscall.Kill(stopped, syscall.SIGCONT) }) // or the stop would wait for it
	r := loadtest.Finish(t, loadtest.Start(t, load.Config{Addr: st.Listen[0].Address, Rate: rate, Duration: 2 * time.Second, Timeout: 5 * time.Second}))
	t.Logf("%d scheduled, %d answered, p50 %v, p99 %v, slots %v", r.Scheduled, r.Answered, r.Latency.P50, r.Latency.P99, r.BySlot)
	if r.ByPID[stopped] > 0 || r.Answered != r.Scheduled {
		t.Errorf("%d of %d were answered, %d by the worker that was stopped", r.Answered, r.Scheduled, r.ByPID[stopped])
	}
	if got := m.Status(t); got.Helpers != 2 {
		t.Errorf("helpers is %d, want 2", got.Helpers)
	}
}

// start starts prefork with so many workers and waits until all of them serve.
func (e example) start(t *testing.T, workers int) (*testproc.Master, testproc.Status) {
	t.Helper()
	if _, err := exec.LookPath(e.program); err != nil {
		t.Skipf("%s is not installed (Debian package %s)", e.program, e.pkg)
	}
	args := slices.Concat([]string{"--workers", strconv.Itoa(workers)}, e.flags, []string{"--"}, e.absolute(t))
	m := testproc.Prefork(t, args...)
	return m, m.AwaitState(t, "serving")
}

// startLoad is patient, and asks for less where other tests may need the machine, too:
// while they start, four interpreters get little of it, and what matters is who is
// lost and not how fast the program is.
func (e example) startLoad(t *testing.T, st testproc.Status) (g *load.Generator, rate int) {
	t.Helper()
	rate = e.rate
	if !*full {
		rate = min(rate, 20)
	}
	return loadtest.Start(t, load.Config{Addr: st.Listen[0].Address, Rate: rate, Timeout: testproc.Patience}), rate
}

// absolute is the command with the paths of this folder: a master may run anywhere.
func (e example) absolute(t *testing.T) []string {
	t.Helper()
	var argv []string
	for _, arg := range e.command {
		if strings.Contains(arg, "/") {
			var err error
			if arg, err = filepath.Abs(arg); err != nil {
				t.Fatal(err)
			}
		}
		argv = append(argv, arg)
	}
	return argv
}
