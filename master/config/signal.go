package config

import (
	"slices"
	"strings"
)

// StopSignals lists what --stop-signal takes.
func StopSignals() []string { return []string{"TERM", "QUIT", "INT", "HUP", "USR1", "USR2", "WINCH"} }

// ParseStopSignal reads a name, with SIG or without, and gives it without.
func ParseStopSignal(s string) (string, error) {
	if name := strings.TrimPrefix(s, "SIG"); slices.Contains(StopSignals(), name) {
		return name, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	switch {
	case name == "KILL" || name == "STOP":
		return "", refuse(s, "no program can catch it, so none would finish what is in flight: write TERM, or what your program drains on")
	case slices.Contains(StopSignals(), name):
		return "", refuse(s, "names of signals have capitals: did you mean %s?", name)
	}
	return "", refuse(s, "not a signal that tells a program to drain: write one of %s", strings.Join(StopSignals(), ", "))
}
