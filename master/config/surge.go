package config

import (
	"strconv"
	"strings"
)

// Surge is how many workers of the next generation may run beside the old ones:
// a count, or a share of the slots. Exactly one of the two fields is non-zero.
type Surge struct {
	Count   int // 1..SlotsMax workers
	Percent int // 1..100 percent of the slots
}

// ParseSurge reads "2" or "25%".
func ParseSurge(s string) (Surge, error) {
	digits, isPercent := strings.CutSuffix(s, "%")
	surge, limit := Surge{}, SlotsMax
	if isPercent {
		limit = 100
	}
	n, ok := parseNumber(digits, limit)
	if !ok {
		return Surge{}, refuse(s, "not a count from 1 to %d and not a share from 1%% to 100%%: write for example 2 or 25%%", SlotsMax)
	}
	if n == 0 {
		return Surge{}, refuse(s, "without room for one new worker a reload could never begin: write at least 1")
	}
	if isPercent {
		surge.Percent = n
	} else {
		surge.Count = n
	}
	return surge, nil
}

// String gives what ParseSurge reads back.
func (s Surge) String() string {
	if s.Percent != 0 {
		return strconv.Itoa(s.Percent) + "%"
	}
	return strconv.Itoa(s.Count)
}
