package goroutines

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"
)

// childVariable makes the test binary the child process of a test.
const childVariable = "GOROUTINES_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := serveWithFewDescriptors(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	before := openDescriptors()
	code := m.Run()
	// fasthttp, by which the other engine serves, renews its Date header as long as the
	// process lives.
	ours := goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1")
	err := goleak.Find(ours)
	if err != nil { // net/http lingers for half a second after some answers, goleak is patient for less
		err = goleak.Find(ours)
	}
	if err != nil && code == 0 {
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

// tlsVariable has every engine of the tests speak TLS.
const tlsVariable = "GOROUTINES_TEST_TLS"

func overTLS() bool { return os.Getenv(tlsVariable) != "" }

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
