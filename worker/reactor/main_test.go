package reactor

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"
)

// childVariable makes the test binary a child process of a test: its value
// names what to do, see children.
const childVariable = "REACTOR_TEST_CHILD"

var children = map[string]func() error{
	"out-of-descriptors": serveWithFewDescriptors,
	"be-clients":         beClients,
	"be-heir":            beHeir,
	"too-many-refs":      giveTooManyRefs,
	"collect-idle":       collectIdle,
	"collect-holding":    collectHolding,
	"collect-busy":       collectBusy,
	"collect-one-p":      collectOneP,
	"hold-or-hand-over":  holdOrHandOver,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		runChild(name)
	}
	before := openDescriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	runtime.GC() // what only a finalizer closes is a leak that hides; files of the standard library close here
	if after := openDescriptors(); after > before && code == 0 {
		fmt.Fprintf(os.Stderr, "descriptors are left: %d before the tests, %d after\n", before, after)
		code = 1
	}
	os.Exit(code)
}

func runChild(name string) {
	run, known := children[name]
	if !known {
		fmt.Fprintf(os.Stderr, "no child is called %q\n", name)
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// openDescriptors counts this process's descriptors, without the runtime's own
// poller, which comes with the first use of the net package.
func openDescriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	count := 0
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && target != "anon_inode:[eventpoll]" && target != "anon_inode:[eventfd]" {
			count++
		}
	}
	return count
}
