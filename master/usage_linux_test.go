package master

import (
	"os"
	"strings"
	"testing"
)

func TestParseUsage(t *testing.T) {
	t.Parallel()
	// Fields 3 to 24 of proc(5), beginning with the state.
	const rest = " S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 8 20 0 5 0 12345 100000000 2500 18446744073709551615"
	page := uint64(os.Getpagesize())
	for _, test := range []struct {
		name, stat string
		rss        uint64
		cpu        float64
	}{
		{"plain", "42 (worker)" + rest + "\n", 2500 * page, 3},
		{"parentheses and spaces in the name", "42 (a) S (b (c" + ")" + rest + "\n", 2500 * page, 3},
		{"line feed in the name", "42 (a\nb)" + rest, 2500 * page, 3},
		{"ends behind what is needed", "42 (worker)" + strings.TrimSuffix(rest, " 18446744073709551615"), 2500 * page, 3},
		{"ends too early", "42 (worker)" + strings.TrimSuffix(rest, " 2500 18446744073709551615"), 0, 0},
		{"no name", "42 worker S 1 2 3", 0, 0},
		{"empty", "", 0, 0},
		{"no numbers", "42 (worker)" + strings.Repeat(" x", 30), 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rss, cpu := parseUsage([]byte(test.stat))
			if rss != test.rss || cpu != test.cpu {
				t.Errorf("got %d bytes, %v s; want %d, %v", rss, cpu, test.rss, test.cpu)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	if rss, _ := usage(os.Getpid()); rss < 1<<20 {
		t.Errorf("this process has %d bytes, want at least 1 MiB", rss)
	}
	if rss, cpu := usage(-1); rss != 0 || cpu != 0 {
		t.Errorf("no process has %d bytes and %v s, want none", rss, cpu)
	}
}
