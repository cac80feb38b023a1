package ipc

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// commandEnv turns the test binary into one of the commands below: tests that
// need a real second process start themselves.
const commandEnv = "PREFORK_TEST_COMMAND"

// childFD is where a child finds the one descriptor that its test passes on.
const childFD = 3

var commands = map[string]func() error{
	"receive with few descriptors": receiveWithFewDescriptors,
	"leave after a word":           leaveAfterAWord,
	"wait to be killed":            waitToBeKilled,
	"count without end":            countWithoutEnd,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(commandEnv); name != "" {
		os.Exit(runCommand(name))
	}
	code := m.Run()
	if err := findLeaks(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runCommand(name string) int {
	command, known := commands[name]
	if !known {
		fmt.Fprintf(os.Stderr, "unknown command %q\n", name)
		return 2
	}
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startCommand starts the test binary as a command with f as its descriptor 3.
// The caller still owns f, and calls Wait unless the test fails first.
func startCommand(t testing.TB, name string, f *os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	// Without the second entry a race-enabled child sleeps for a second at its end.
	cmd.Env = append(os.Environ(), commandEnv+"="+name, "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %q: %v", name, err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // the test failed already
			_ = cmd.Wait()
		}
	})
	return cmd
}

// findLeaks tells which goroutines and descriptors the tests left behind.
func findLeaks() error {
	if err := goleak.Find(); err != nil {
		return err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && (strings.HasPrefix(target, "socket:") || strings.HasPrefix(target, "/memfd:")) {
			return fmt.Errorf("descriptor %s leaked: %s", entry.Name(), target)
		}
	}
	return nil
}

// within fails the test when do has not returned after a time that no healthy
// machine needs. It replaces a test binary's timeout of ten minutes, nothing else.
func within(t testing.TB, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: still waiting after 30s", what)
	}
}
