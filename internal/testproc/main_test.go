package testproc

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// plantEnv names the leak that TestPlanted leaves, in a run that a test of this
// package starts.
const plantEnv = "PLANTED_LEAK"

func TestMain(m *testing.M) {
	if os.Getenv(plantEnv) != "" {
		settlePatience = 100 * time.Millisecond
	}
	os.Exit(Main(m, cmdSpeak, cmdHold, cmdLeaveOrphan, cmdReportTerminal))
}

// cmdHold waits until it is killed.
var cmdHold = Command{Name: "hold", Run: func([]string) int {
	fmt.Println("holding")
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	<-c // nobody sends it
	return 0
}}

// plants are leaks that Main must find, and what it must say.
var plants = map[string]struct {
	leave func(t *testing.T)
	want  string
}{
	"descriptor": {
		leave: func(t *testing.T) {
			r, _, err := os.Pipe()
			kept = append(kept, r)
			check(t, err)
		},
		want: "is still open: pipe:",
	},
	"zombie": {
		leave: func(t *testing.T) {
			cmd := Impersonate(t, cmdSpeak.Name)
			check(t, cmd.Start()) // and no Wait
			Await(t, "a zombie", func() bool {
				p, err := readProcess(cmd.Process.Pid)
				return err == nil && p.state == 'Z'
			})
		},
		want: "a child was never waited for",
	},
	"orphan": {
		leave: func(t *testing.T) { check(t, Impersonate(t, cmdLeaveOrphan.Name).Run()) },
		want:  "a process is left over and is killed",
	},
	"goroutine": {
		leave: func(*testing.T) { go func() { <-make(chan int) }() },
		want:  "found unexpected goroutines",
	},
	"socket": {
		leave: func(t *testing.T) {
			l, err := net.Listen("unix", os.TempDir()+"/left.sock")
			check(t, err)
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			check(t, l.Close())
		},
		want: "a socket is left over",
	},
	"file": {
		leave: func(t *testing.T) { check(t, os.WriteFile(os.TempDir()+"/left.txt", nil, 0o600)) },
		want:  "a file is left over",
	},
}

// kept holds planted descriptors, which the garbage collector would close.
var kept []*os.File

// TestPlanted leaks what the environment says; alone it does nothing.
func TestPlanted(t *testing.T) {
	if plant, planted := plants[os.Getenv(plantEnv)]; planted {
		plant.leave(t)
	}
}

func TestMainFindsLeaks(t *testing.T) {
	t.Parallel()
	for name, plant := range plants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runPlanted(t, name)
			if got.Code != 1 || !strings.Contains(got.Stderr, plant.want) {
				t.Errorf("%s\nwant exit code 1 and stderr with %q", got, plant.want)
			}
		})
	}
}

func TestMainAcceptsCleanRun(t *testing.T) {
	t.Parallel()
	if got := runPlanted(t, "nothing"); got.Code != 0 || got.Stderr != "" {
		t.Errorf("%s\nwant exit code 0 and no stderr", got)
	}
}

// runPlanted runs this test binary anew, only TestPlanted, with one leak.
func runPlanted(t *testing.T, name string) Result {
	path, err := os.Executable()
	check(t, err)
	cmd := exec.Command(path, "-test.run=^TestPlanted$")
	cmd.Env = append(cleanEnvironment(), plantEnv+"="+name)
	return Run(t, cmd)
}

func TestUnusedCommands(t *testing.T) {
	t.Parallel()
	run := &testRun{
		commands: []Command{{Name: "used"}, {Name: "stale"}, {Name: "indirect", Indirect: true}},
		used:     map[string]bool{"used": true},
	}
	got := strings.Join(run.unusedCommands(), "\n")
	if want := `command "stale" is not used by any test: remove it`; got != want {
		t.Errorf("unused commands: got %q, want %q", got, want)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recorder is a test that keeps its complaints instead of failing.
type recorder struct {
	testing.TB
	text string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, values ...any) {
	r.text += fmt.Sprintf(format, values...) + "\n"
}
