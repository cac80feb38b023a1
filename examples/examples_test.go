package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }

// example is one of the workers of this folder.
type example struct {
	program string // that must be installed, with the package that has it
	pkg     string
	command []string
	rate    int // of new connections a second that it must bear
}

var examples = map[string]example{
	"python sync":       {"python3", "python3", []string{"python3", "python/sync.py"}, 200},
	"python threaded":   {"python3", "python3", []string{"python3", "python/threaded.py"}, 200},
	"python coroutines": {"python3", "python3", []string{"python3", "python/coroutines.py"}, 200},
	"node":              {"node", "nodejs", []string{"node", "node/hello.js"}, 200},
	"sh":                {"perl", "perl", []string{"sh/worker.sh"}, 20},
}

// TestExamplesReload: four reloads under new connections lose none.
func TestExamplesReload(t *testing.T) {
	for name, e := range examples {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(e.program); err != nil {
				t.Skipf("%s is not installed (Debian package %s)", e.program, e.pkg)
			}
			const reloads = 4
			m := testproc.Prefork(t, append([]string{"--workers", "4", "--"}, e.absolute(t)...)...)
			st := m.AwaitState(t, "serving")
			before := st.Ready()
			g := loadtest.Start(t, load.Config{Addr: st.Listen[0].Address, Rate: e.rate, Duration: 2 * reloads * time.Second})
			for n := 1; n <= reloads; n++ {
				loadtest.Await(t, g, n*e.rate)
				m.Signal(t, syscall.SIGHUP)
				m.AwaitStatus(t, "the next generation", func(s testproc.Status) bool {
					return s.Generation == uint64(n+1) && s.State == "serving" && len(s.Ready()) == 4
				})
			}
			r := loadtest.Finish(t, g)
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
