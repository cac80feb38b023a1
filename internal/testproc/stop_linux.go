package testproc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Stop stops a process (SIGSTOP) and waits until none of its threads could do
// anything any more: the signal alone returns before that. The test has it go on,
// or ends it.
func Stop(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("stop process %d: %v", pid, err)
	}
	Await(t, "all threads to stand still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("process %d has %d threads, %v", pid, len(threads), err)
		}
		return !slices.ContainsFunc(threads, func(path string) bool {
			text, err := os.ReadFile(path) // a thread may end meanwhile
			return err == nil && !strings.Contains(string(text), ") T ")
		})
	})
}
