package config

import (
	"strconv"
	"strings"
)

// SizeMax is the largest size that ParseSize takes, 1 GiB: what it bounds is
// held in memory.
const SizeMax = 1 << 30

// sizeUnits are the units of a size, the largest first: FormatSize takes the
// first that divides.
var sizeUnits = []struct {
	name  string
	bytes int
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"B", 1},
}

// ParseSize reads a number of bytes: "512", "512B", "8KiB", "1MiB", "1GiB".
// Units count in powers of 1024. "8K" and "8KB" are refused with a suggestion,
// because half of the world reads them as 8,000.
func ParseSize(s string) (int, error) {
	unitAt := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if unitAt < 0 {
		unitAt = len(s)
	}
	digits, unit := s[:unitAt], s[unitAt:]
	n, ok := parseNumber(digits, SizeMax)
	if !ok {
		return 0, refuse(s, "not a size of at most %s: write a number of bytes, for example 8KiB", FormatSize(SizeMax))
	}
	if unit == "" {
		return n, nil
	}
	for _, u := range sizeUnits {
		if unit != u.name {
			continue
		}
		if n > SizeMax/u.bytes {
			return 0, refuse(s, "larger than %s: write a smaller size", FormatSize(SizeMax))
		}
		return n * u.bytes, nil
	}
	return 0, refuseUnit(s, n, unit)
}

// FormatSize gives the shortest exact form that ParseSize reads back.
func FormatSize(n int) string {
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.Itoa(n/u.bytes) + u.name
		}
	}
	return strconv.Itoa(n) + "B"
}

func refuseUnit(s string, n int, unit string) error {
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name[:1], unit[:1]) {
			return refuse(s, "unknown unit %.20q: did you mean %d%s?", unit, n, u.name)
		}
	}
	return refuse(s, "unknown unit %.20q: the units are B, KiB, MiB and GiB", unit)
}
