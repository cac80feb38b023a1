package config

import (
	"strings"
	"time"
)

// ParseDuration reads a number with a unit, or several: "30s", "500ms", "1h30m".
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, refuse(s, "not a time: write a number with a unit, like 30s, 500ms or 2m")
	}
	return d, nil
}

// FormatDuration gives the shortest exact form that ParseDuration reads back:
// 1m15s as it is, and 1m0s as 1m.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
