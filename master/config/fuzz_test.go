package config

import (
	"strings"
	"testing"
)

// The fuzz targets hold each parser to one promise: what it accepts prints
// itself, and parses to the same value; what it refuses, it refuses in one line.

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:8080", "[::1]:80", ":0", "*:1", "localhost:65535", "[fe80::1%a]:1", "unix:/a", "http://a:1/", "[", "]:", "::", strings.Repeat("0", 3000) + "80", "[fe80::1%" + strings.Repeat("\n", 3000) + "]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		checkRoundTrip(t, a, err, ParseAddress)
		if err == nil && (!a.IP.IsValid() || a.Port < 0 || a.Port > portMax) {
			t.Errorf("ParseAddress(%q) = %+v", s, a)
		}
	})
}

func FuzzParseSurge(f *testing.F) {
	for _, seed := range []string{"1", "100%", "0", "%", "1%%", "-1", "99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		surge, err := ParseSurge(s)
		checkRoundTrip(t, surge, err, ParseSurge)
		if err != nil {
			return
		}
		if (surge.Count == 0) == (surge.Percent == 0) {
			t.Errorf("ParseSurge(%q) = %+v", s, surge)
		}
		for _, slots := range []int{0, 1, 7, SlotsMax} {
			if n := surge.Of(slots); n < 1 || n > max(1, slots) {
				t.Errorf("%s of %d slots = %d", surge, slots, n)
			}
		}
	})
}

func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"0", "8KiB", "1GiB", "8k", "B", "9223372036854775808", "1.5MiB", "8\u00a0KiB", "8" + strings.Repeat("\xcc", 1000), strings.Repeat("0", 3000) + "8k"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		checkRoundTrip(t, formattedSize(n), err, func(s string) (formattedSize, error) {
			n, err := ParseSize(s)
			return formattedSize(n), err
		})
		if err == nil && (n < 0 || n > SizeMax) {
			t.Errorf("ParseSize(%q) = %d", s, n)
		}
	})
}

type formattedSize int

func (n formattedSize) String() string { return FormatSize(int(n)) }

func checkRoundTrip[T interface {
	comparable
	String() string
}](t *testing.T, parsed T, err error, parse func(string) (T, error)) {
	t.Helper()
	if err != nil {
		checkOneLine(t, err)
		return
	}
	again, err := parse(parsed.String())
	if err != nil || again != parsed {
		t.Errorf("%v printed as %q parses to %v, %v", parsed, parsed.String(), again, err)
	}
}
