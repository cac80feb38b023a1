package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// The fuzz targets hold each parser to one promise: what it accepts prints
// itself, and parses to the same value; what it refuses, it refuses in one line.

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:8080", "[::1]:80", ":0", "*:1", "localhost:65535", "[fe80::1%a]:1", "unix:/a", "unix:/a,mode=0660,user=a,group=1", "unix:/a,mode=9", "unix:@a", "unix:a//b", "unix:/\xff,user=\x00", "systemd:web", "systemd:a:b", "http://a:1/", "[", "]:", "::", strings.Repeat("0", 3000) + "80", "[fe80::1%" + strings.Repeat("\n", 3000) + "]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		checkRoundTrip(t, a, err, ParseAddress)
		if err != nil {
			return
		}
		bad := false
		switch a.Network {
		case NetworkUnix:
			bad = len(a.Path) > UnixPathMax || a.Path[0] != '/' || a.Mode > unixModeMax
		case NetworkSystemd:
			bad = a.Name == "" || strings.Contains(a.Name, ":")
		default:
			bad = !a.IP.IsValid() || a.Port < 0 || a.Port > portMax
		}
		if bad || !a.SamePlace(a) {
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

func FuzzParseReady(f *testing.F) {
	for _, seed := range []string{"auto", "notify", "delay:1s", "delay:", "delay:-1s", "delay:1h0m0.000000001s", "delay:9999h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReady(s)
		checkRoundTrip(t, r, err, ParseReady)
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"0", "30s", "1h0m0s", "10h", "1h0m1s", "-1.5h", "1µs", "9223372036854775807ns", "30", strings.Repeat("1s", 1000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		checkRoundTrip(t, formattedDuration(d), err, func(s string) (formattedDuration, error) {
			d, err := ParseDuration(s)
			return formattedDuration(d), err
		})
	})
}

type formattedDuration time.Duration

func (d formattedDuration) String() string { return FormatDuration(time.Duration(d)) }

// FuzzResolve holds the whole way from three sources to a configuration to its
// promises: it does not panic; what it refuses, it refuses in lines that say where;
// what it accepts is TOML to the library's own decoder too, and what it prints of
// it reads back.
func FuzzResolve(f *testing.F) {
	files, err := filepath.Glob("testdata/broken/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "../../examples/prefork.toml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "", "", "")
	}
	f.Add([]byte("app = \"static\"\nenvironment.A = 'b'\r\n"), "PREFORK_LISTEN=:80 :81", "workers=auto", "sh")
	for _, text := range []string{"\r", " \r", "\n\t[a", "a\r\r\n", "#\x00", "name = \"\\", "\uFEFF\uFEFF"} {
		f.Add([]byte(text), "", "", "")
	}
	f.Fuzz(func(t *testing.T, data []byte, variable, flag, argument string) {
		s := sources(string(data), []string{variable}, flag)
		if argument != "" {
			s.Command = []string{argument, argument}
		}
		r, err := Resolve(s)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				checkOneLine(t, &Problem{Text: strings.TrimSuffix(line, "\n")})
			}
			return
		}
		var any map[string]any
		if err := toml.Unmarshal([]byte(strings.TrimPrefix(string(data), "\uFEFF")), &any); err != nil {
			t.Errorf("accepted what is no TOML: %v", err)
		}
		if text := r.TOML(); !strings.Contains(text, "secret") && !strings.Contains(text, "\uFFFD") {
			checkReadsBack(t, r)
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
