package testproc

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Result is what a command that has ended said.
type Result struct {
	Stdout, Stderr string
	Code           int // -1: killed by a signal
}

// Run runs a command to its end. Only one that cannot be started, or does not
// end within Patience, fails the test: an exit code is the test's to judge. In
// cmd.Env nil means the same as for [Start].
func Run(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	mustRun(t)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = drainPatience // a descendant may hold the output open
	if cmd.Env == nil {
		cmd.Env = cleanEnvironment()
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %q: %v", cmd.Args, err)
	}
	timeout := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() }) // it may just have ended
	_ = cmd.Wait()                                                         // says what ProcessState says
	if !timeout.Stop() {
		t.Fatalf("%q has not ended after %s\n%s%s", cmd.Args, Patience, stdout.String(), stderr.String())
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

// String is for failure messages.
func (r Result) String() string {
	return fmt.Sprintf("exit code %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
}

// Impersonate returns a command that is this test binary as a registered one.
func Impersonate(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	argv := ImpersonateArgv(t, name, args...)
	return exec.Command(argv[0], argv[1:]...)
}

// ImpersonateArgv is the same for code under test that starts programs itself.
func ImpersonateArgv(t testing.TB, name string, args ...string) []string {
	t.Helper()
	run := mustRun(t)
	if indexOfCommand(run.commands, name) < 0 {
		t.Fatalf("testproc: command %q is not registered: pass it to Main", name)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatalf("find the test binary: %v", err)
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	run.used[name] = true
	return append([]string{path, name}, args...)
}
