package config

import (
	"strings"
	"time"
)

// readyAutoAfter is how long a program that says nothing must live under "auto".
const readyAutoAfter = time.Second

// Ready is when a program counts as ready: when it says so (sd_notify(3)
// READY=1), or when it has lived for a while, whichever comes first.
type Ready struct {
	Notify bool          // its READY=1 counts
	After  time.Duration // so long alive counts too; 0: it has to say it
}

// ParseReady reads "auto", "notify" or "delay:1s".
func ParseReady(s string) (Ready, error) {
	delay, isDelay := strings.CutPrefix(s, "delay:")
	switch {
	case s == "auto":
		return Ready{Notify: true, After: readyAutoAfter}, nil
	case s == "notify":
		return Ready{Notify: true}, nil
	case !isDelay:
		if near := Suggest(s, []string{"auto", "notify"}); near != "" {
			return Ready{}, refuse(s, "unknown: did you mean %s?", near)
		}
		return Ready{}, refuse(s, "unknown: write auto, notify, or a time like delay:1s")
	}
	d, err := ParseDuration(delay)
	switch {
	case err != nil:
		return Ready{}, refuse(s, "no time after delay: write a number with a unit, like delay:1s or delay:500ms")
	case d <= 0 || d > TimeoutMax:
		return Ready{}, refuse(s, "not a time above 0 and up to %d days: write for example delay:1s", TimeoutMax/(24*time.Hour))
	}
	return Ready{After: d}, nil
}

// String gives what ParseReady reads back.
func (r Ready) String() string {
	delay := "delay:" + FormatDuration(r.After)
	switch {
	case !r.Notify:
		return delay
	case r.After == readyAutoAfter:
		return "auto"
	case r.After == 0:
		return "notify"
	}
	return "notify or " + delay // cannot be asked for: Validate refuses it
}
