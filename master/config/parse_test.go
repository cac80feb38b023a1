package config

import (
	"strings"
	"testing"
	"time"
)

func TestParseAddressAccepts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in             string
		network, host, ip, s string
		port                 int
	}{
		{"IPv4", "127.0.0.1:8080", "tcp4", "127.0.0.1", "127.0.0.1", "127.0.0.1:8080", 8080},
		{"all of IPv4", "0.0.0.0:80", "tcp4", "0.0.0.0", "0.0.0.0", "0.0.0.0:80", 80},
		{"IPv6", "[::1]:8080", "tcp6", "::1", "::1", "[::1]:8080", 8080},
		{"IPv6 written long", "[2001:DB8:0::1]:1", "tcp6", "2001:db8::1", "2001:db8::1", "[2001:db8::1]:1", 1},
		{"no host is both families", ":8080", "tcp", "", "::", ":8080", 8080},
		{"star is both families", "*:8080", "tcp", "*", "::", "*:8080", 8080},
		{"[::] is both families", "[::]:8080", "tcp", "::", "::", "[::]:8080", 8080},
		{"localhost", "localhost:65535", "tcp4", "localhost", "127.0.0.1", "localhost:65535", 65535},
		{"any free port", "127.0.0.1:0", "tcp4", "127.0.0.1", "127.0.0.1", "127.0.0.1:0", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseAddress(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if got.Network != tc.network || got.Host != tc.host || got.IP.String() != tc.ip || got.Port != tc.port {
				t.Errorf("got %+v, want network %s host %s ip %s port %d", got, tc.network, tc.host, tc.ip, tc.port)
			}
			if got.String() != tc.s {
				t.Errorf("String() = %q, want %q", got.String(), tc.s)
			}
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	t.Parallel()
	checkRefusals(t, func(s string) error { _, err := ParseAddress(s); return err }, []refusal{
		{"empty", "", `no address`},
		{"path alone", "/run/web.sock", `for a Unix socket unix:/run/web.sock`},
		{"URL", "http://127.0.0.1:8080/", `this is a URL: did you mean "127.0.0.1:8080"?`},
		{"port alone", "8080", `write 127.0.0.1:8080 for this machine only, or :8080 for all interfaces`},
		{"host alone", "127.0.0.1", `no port: write host:port`},
		{"IPv6 without brackets", "::1:8080", `needs brackets`},
		{"brackets without port", "[::1]", `write [address]:port`},
		{"brackets around IPv4", "[127.0.0.1]:80", `"127.0.0.1" is not an IPv6 address`},
		{"brackets around nothing", "[]:80", `"" is not an IPv6 address`},
		{"brackets around a name", "[localhost]:80", `"localhost" is not an IPv6 address`},
		{"mapped IPv4", "[::ffff:10.0.0.1]:80", `write 10.0.0.1 without brackets`},
		{"zone", "[fe80::1%eth0]:80", `addresses with a zone ("eth0") are not supported yet`},
		{"port empty", "127.0.0.1:", `the port "" is not a number from 0 to 65535`},
		{"port too large", "127.0.0.1:65536", `the port "65536" is not a number`},
		{"port far too large", "127.0.0.1:99999999999999999999", `is not a number`},
		{"port negative", "127.0.0.1:-1", `the port "-1" is not a number`},
		{"port by name", "127.0.0.1:http", `the port "http" is not a number`},
		{"port with a plus", "127.0.0.1:+80", `the port "+80" is not a number`},
		{"number out of range", "256.0.0.1:80", `"256.0.0.1" is not an IPv4 address`},
		{"leading zero", "127.0.0.01:80", `without leading zeros`},
		{"short IPv4", "127.1:80", `"127.1" is not an IPv4 address`},
		{"host name", "www.example.org:80", `a name can change its meaning: write its IP address`},
		{"slip in localhost", "locahost:80", `did you mean localhost?`},
		{"multicast", "224.0.0.1:80", `a multicast address cannot take TCP connections`},
		{"multicast IPv6", "[ff02::1]:80", `a multicast address cannot take TCP connections`},
		{"control characters", "127.0.0.1:80\n", `the port "80\n" is not a number`},
	})
}

func TestParseSurge(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Surge{
		"1": {Count: 1}, "2": {Count: 2}, "1024": {Count: 1024},
		"1%": {Percent: 1}, "25%": {Percent: 25}, "100%": {Percent: 100},
	} {
		got, err := ParseSurge(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("ParseSurge(%q) = %+v (%s), %v, want %+v", in, got, got, err, want)
		}
	}
	checkRefusals(t, func(s string) error { _, err := ParseSurge(s); return err }, []refusal{
		{"empty", "", `write for example 2 or 25%`},
		{"only percent", "%", `write for example 2 or 25%`},
		{"zero", "0", `a reload could never begin`},
		{"zero percent", "0%", `a reload could never begin`},
		{"more than all", "101%", `not a share from 1% to 100%`},
		{"more than slots", "1025", `not a count from 1 to 1024`},
		{"negative", "-1", `not a count`},
		{"fraction", "0.5", `not a count`},
		{"word", "all", `not a count`},
		{"two percents", "1%%", `not a count`},
	})
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{
		"0": 0, "512": 512, "512B": 512, "8KiB": 8 << 10, "1MiB": 1 << 20, "1GiB": 1 << 30, "1048576KiB": 1 << 30, "08B": 8,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	checkRefusals(t, func(s string) error { _, err := ParseSize(s); return err }, []refusal{
		{"empty", "", `write a number of bytes`},
		{"unit alone", "KiB", `not a size`},
		{"negative", "-1", `not a size`},
		{"kilo", "8KB", `did you mean 8KiB?`},
		{"k", "8k", `did you mean 8KiB?`},
		{"m", "1M", `did you mean 1MiB?`},
		{"unknown unit", "8 lines", `the units are B, KiB, MiB and GiB`},
		{"fraction", "1.5MiB", `unknown unit ".5MiB"`},
		{"too large", "2GiB", `larger than 1GiB`},
		{"overflow", "9223372036854775807KiB", `not a size of at most 1GiB`},
	})
}

func TestFormatSize(t *testing.T) {
	t.Parallel()
	for in, want := range map[int]string{0: "0B", 1: "1B", 1000: "1000B", 8 << 10: "8KiB", 1 << 20: "1MiB", 3 << 29: "1536MiB", -5: "-5B"} {
		if got := FormatSize(in); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", in, got, want)
		}
	}
}

func TestParseWorkers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{"auto": 0, "1": 1, "4": 4, "1024": 1024} {
		if got, err := ParseWorkers(in); err != nil || got != want {
			t.Errorf("ParseWorkers(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	checkRefusals(t, func(s string) error { _, err := ParseWorkers(s); return err }, []refusal{
		{"empty", "", `write a number, or auto`},
		{"zero", "0", `without a worker nobody serves`},
		{"negative", "-1", `not a count from 1 to 1024`},
		{"too many", "1025", `not a count from 1 to 1024`},
		{"slip", "atuo", `did you mean auto?`},
		{"capital", "AUTO", `did you mean auto?`},
	})
}

func TestParseReady(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Ready{
		"auto": {Notify: true, After: time.Second}, "notify": {Notify: true}, "delay:1s": {After: time.Second}, "delay:1m30s": {After: 90 * time.Second},
	} {
		if got, err := ParseReady(in); err != nil || got != want || got.String() != in {
			t.Errorf("ParseReady(%q) = %+v (%s), %v, want %+v", in, got, got, err, want)
		}
	}
	checkRefusals(t, func(s string) error { _, err := ParseReady(s); return err }, []refusal{
		{"empty", "", `write auto, notify, or a time like delay:1s`},
		{"slip", "notfy", `did you mean notify?`},
		{"time alone", "1s", `write auto, notify, or a time like delay:1s`},
		{"no time", "delay:", `no time after delay`},
		{"no unit", "delay:1", `no time after delay`},
		{"no delay", "delay:0s", `not a time above 0`},
		{"the past", "delay:-1s", `not a time above 0`},
		{"a year", "delay:8760h", `up to 30 days`},
	})
}

func TestParseStopSignal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"TERM": "TERM", "SIGTERM": "TERM", "QUIT": "QUIT", "SIGINT": "INT", "HUP": "HUP", "USR1": "USR1", "SIGUSR2": "USR2", "WINCH": "WINCH"} {
		if got, err := ParseStopSignal(in); err != nil || got != want {
			t.Errorf("ParseStopSignal(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	checkRefusals(t, func(s string) error { _, err := ParseStopSignal(s); return err }, []refusal{
		{"empty", "", `write one of TERM, QUIT`},
		{"KILL", "KILL", `no program can catch it`},
		{"SIGSTOP", "SIGSTOP", `no program can catch it`},
		{"small", "sigquit", `did you mean QUIT?`},
		{"number", "15", `write one of TERM`},
		{"twice SIG", "SIGSIGTERM", `write one of TERM`},
		{"another", "SEGV", `write one of TERM`},
	})
}

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 75 * time.Second: "1m15s", time.Hour: "1h", 10 * time.Hour: "10h", time.Hour + time.Second: "1h0m1s", 100 * time.Minute: "1h40m",
	} {
		if got := FormatDuration(in); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", in, got, want)
		}
	}
}

// refusal is an input that a parser must refuse with a line containing want.
type refusal struct{ name, in, want string }

func checkRefusals(t *testing.T, parse func(string) error, refusals []refusal) {
	t.Helper()
	for _, r := range refusals {
		t.Run("refuses "+r.name, func(t *testing.T) {
			t.Parallel()
			err := parse(r.in)
			if err == nil {
				t.Fatalf("%q was accepted", r.in)
			}
			if !strings.Contains(err.Error(), r.want) {
				t.Errorf("got %s\nwant it to contain %s", err, r.want)
			}
			checkOneLine(t, err)
		})
	}
}

// checkOneLine holds an error to what Problem promises.
func checkOneLine(t testing.TB, err error) {
	t.Helper()
	text := err.Error()
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("%q holds control characters", text)
	}
	if len(text) > 2000 {
		t.Errorf("the error is %d bytes long", len(text))
	}
}
