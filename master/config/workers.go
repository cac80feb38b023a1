package config

import "strconv"

// SlotsMax is the largest number of slots, and so of serving workers.
const SlotsMax = 1024

// ParseWorkers reads a count from 1 to SlotsMax, or "auto", which gives 0.
func ParseWorkers(s string) (int, error) {
	if s == "auto" {
		return 0, nil
	}
	n, ok := parseNumber(s, SlotsMax)
	switch {
	case ok && n > 0:
		return n, nil
	case ok:
		return 0, refuse(s, "without a worker nobody serves: write at least 1, or auto")
	case Suggest(s, []string{"auto"}) != "":
		return 0, refuse(s, "not a count from 1 to %d: did you mean auto?", SlotsMax)
	}
	return 0, refuse(s, "not a count from 1 to %d: write a number, or auto", SlotsMax)
}

// formatWorkers gives what ParseWorkers reads back.
func formatWorkers(n int) string {
	if n == 0 {
		return "auto"
	}
	return strconv.Itoa(n)
}
