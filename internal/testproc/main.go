package testproc

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// Command is a program that the test binary can be.
type Command struct {
	// Name is the first argument that selects it. It should not begin with "-".
	Name string
	// Run is the program. It gets the arguments after Name and returns the exit
	// code. It runs before any test does: flags are not parsed.
	Run func(args []string) int
	// Indirect says that the code under test starts it, not a test by
	// [Impersonate]; nobody then checks that it is used.
	Indirect bool
}

// testRun is what one run of a test binary has in common.
type testRun struct {
	mark     string // the value of markEnv that all its processes begin with
	dir      string // its temporary folder; TMPDIR while the tests run
	commands []Command
	before   map[int]string // the descriptors that were open before the tests

	mu        sync.Mutex
	used      map[string]bool                  // names of commands
	processes int                              // how many were started, to number their marks
	builds    map[build]func() (string, error) // each builds its program once

	forker *forker
}

// current is set by Main before the first test starts and never changed after.
var current *testRun

// Main runs the tests of a package and returns the exit code for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(testproc.Main(m, commands...)) }
//
// When the first argument is the name of a command, it is that command instead.
func Main(m *testing.M, commands ...Command) int {
	if len(os.Args) > 1 {
		if i := indexOfCommand(commands, os.Args[1]); i >= 0 {
			return commands[i].Run(os.Args[2:])
		}
	}
	run, err := begin(commands)
	if err != nil {
		fmt.Fprintf(os.Stderr, "testproc: begin run: %v\n", err)
		return 1
	}
	current = run
	code := m.Run()
	problems := run.end(code)
	for _, problem := range problems {
		fmt.Fprintf(os.Stderr, "testproc: %s\n", problem)
	}
	if code == 0 && len(problems) > 0 {
		return 1
	}
	return code
}

func begin(commands []Command) (*testRun, error) {
	flag.Parse() // m.Run would; end needs to know them too
	dir, err := os.MkdirTemp("", "tp")
	if err != nil {
		return nil, err
	}
	run := &testRun{dir: dir, commands: commands, used: map[string]bool{}, builds: map[build]func() (string, error){}, forker: newForker()}
	if run.mark, err = newMark(); err != nil {
		return nil, err
	}
	if err := run.setEnvironment(); err != nil {
		return nil, err
	}
	if run.before, err = openDescriptors(); err != nil {
		return nil, err
	}
	return run, nil
}

// setEnvironment changes our own environment, so that also what a test starts
// without this package inherits it.
func (r *testRun) setEnvironment() error {
	coverage := r.dir + "/coverage"
	if err := os.Mkdir(coverage, 0o700); err != nil {
		return err
	}
	for name, value := range map[string]string{
		markEnv:  r.mark,
		"TMPDIR": r.dir,
		// It would win over TMPDIR in t.TempDir.
		"GOTMPDIR": "",
		// Each helper of a -race binary would sleep for a second at its exit.
		"GORACE": "atexit_sleep_ms=0",
		// Each helper of a -cover binary would complain on stderr.
		"GOCOVERDIR": coverage,
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// end returns what the tests left behind and removes it. After a failed test most
// of that would be its consequence, so only processes count.
func (r *testRun) end(code int) []string {
	defer func() { _ = os.RemoveAll(r.dir) }() // what should not be in it was reported
	defer r.endProcesses()
	look := r.leftProcesses
	if code == 0 && !fuzzing() {
		look = func() []string {
			return slices.Concat(r.leftProcesses(), leftChildren(), leftDescriptors(r.before), r.leftFiles())
		}
	}
	problems := settle(look)
	r.forker.end() // AFTER the look: what is left would die with its thread
	if code != 0 || fuzzing() {
		return problems
	}
	problems = append(problems, leftGoroutines()...)
	if everyTestRan() {
		problems = append(problems, r.unusedCommands()...)
	}
	return problems
}

// fuzzing is true in the two kinds of processes of `go test -fuzz`. The engine's
// own children and descriptors are still there when m.Run returns.
func fuzzing() bool {
	return flagValue("test.fuzz") != "" || flagValue("test.fuzzworker") == "true"
}

// unusedCommands names those that no test starts any more.
func (r *testRun) unusedCommands() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var problems []string
	for _, command := range r.commands {
		if !command.Indirect && !r.used[command.Name] {
			problems = append(problems, fmt.Sprintf("command %q is not used by any test: remove it", command.Name))
		}
	}
	return problems
}

// everyTestRan is false for a run that was told to leave tests out.
func everyTestRan() bool {
	return flagValue("test.run") == "" && flagValue("test.skip") == "" && flagValue("test.list") == "" && !testing.Short()
}

func flagValue(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

func indexOfCommand(commands []Command, name string) int {
	return slices.IndexFunc(commands, func(c Command) bool { return c.Name == name })
}

// mustRun returns the run that Main began.
func mustRun(t testing.TB) *testRun {
	t.Helper()
	if current == nil {
		t.Fatal("testproc: call testproc.Main in TestMain of this package")
	}
	return current
}
