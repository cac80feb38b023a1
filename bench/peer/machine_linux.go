package peer

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Fact is something that a reader of figures wants to know.
type Fact struct{ Name, Value string }

// Machine tells where and when figures were taken.
func Machine(now time.Time) []Fact {
	return []Fact{
		{"date", now.UTC().Format("2006-01-02")},
		{"kernel", kernel()},
		{"processor", fmt.Sprintf("%s, %d cores used", processor(), runtime.NumCPU())},
		{"system", system()},
		{"Go", runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
	}
}

func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return "Linux " + unix.ByteSliceToString(name.Release[:])
}

func processor() string { return valueIn("/proc/cpuinfo", "model name", ":") }

func system() string {
	return strings.Trim(valueIn("/etc/os-release", "PRETTY_NAME", "="), `"`)
}

// valueIn finds the first line "name separator value" of a file.
func valueIn(path, name, separator string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(line, separator)
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
