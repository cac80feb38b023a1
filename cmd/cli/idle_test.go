package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkIdleMaster prints what a master with 4 workers costs while nothing
// happens: wake-ups in a second (context switches that it asked for, of all its
// threads: proc_pid_status(5)) and resident memory. One iteration is 10 seconds:
//
//	go test ./cmd/cli -run '^$' -bench IdleMaster -benchtime 1x
func BenchmarkIdleMaster(b *testing.B) {
	const window = 10 * time.Second
	m, _ := ready(b, "--workers", "4")
	for b.Loop() {
		before := wakeups(b, m.PID())
		<-time.After(window)
		b.ReportMetric(float64(wakeups(b, m.PID())-before)/window.Seconds(), "wakeups/s")
	}
	b.ReportMetric(float64(statusField(b, fmt.Sprintf("/proc/%d/status", m.PID()), "VmRSS:"))/1024, "MB-rss")
	b.ReportMetric(0, "ns/op") // how long a window is says nothing
}

func wakeups(tb testing.TB, pid int) (sum int) {
	tb.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		tb.Fatalf("threads of %d: %v, %v", pid, threads, err)
	}
	for _, path := range threads {
		sum += statusField(tb, path, "voluntary_ctxt_switches:")
	}
	return sum
}

// statusField returns a number of a /proc status file.
func statusField(tb testing.TB, path, name string) int {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == name {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				tb.Fatalf("%s in %s: %v", name, path, err)
			}
			return n
		}
	}
	tb.Fatalf("%s has no %s", path, name)
	return 0
}
