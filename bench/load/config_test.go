package load

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*Config)
		want   string // part of the error; empty: none
	}{
		"as it is":               {change: func(*Config) {}},
		"IPv6":                   {change: func(c *Config) { c.Addr = "[::1]:80" }},
		"all of 127/8":           {change: func(c *Config) { c.Addr = "127.9.9.9:80" }},
		"IPv4 in IPv6":           {change: func(c *Config) { c.Addr = "[::ffff:127.0.0.1]:80" }},
		"other machine":          {change: func(c *Config) { c.Addr = "192.0.2.1:80" }, want: "not a loopback address"},
		"other machine, IPv6":    {change: func(c *Config) { c.Addr = "[2001:db8::1]:80" }, want: "not a loopback address"},
		"other machine, mapped":  {change: func(c *Config) { c.Addr = "[::ffff:192.0.2.1]:80" }, want: "not a loopback address"},
		"every address":          {change: func(c *Config) { c.Addr = "0.0.0.0:80" }, want: "not a loopback address"},
		"name":                   {change: func(c *Config) { c.Addr = "localhost:80" }, want: "names are not resolved"},
		"no port":                {change: func(c *Config) { c.Addr = "127.0.0.1" }, want: "not a literal IP:PORT"},
		"port 0":                 {change: func(c *Config) { c.Addr = "127.0.0.1:0" }, want: "port 0"},
		"line end in path":       {change: func(c *Config) { c.Path = "/\r\nX: y" }, want: "path"},
		"path without a slash":   {change: func(c *Config) { c.Path = "index" }, want: "path"},
		"unknown mode":           {change: func(c *Config) { c.Mode = "flood" }, want: `mode "flood"`},
		"rate 0":                 {change: func(c *Config) { c.Rate = 0 }, want: "rate 0"},
		"rate too high":          {change: func(c *Config) { c.Rate = RateMax + 1 }, want: "rate 100001"},
		"no time":                {change: func(c *Config) { c.Duration = 0 }, want: "makes 0 requests"},
		"too many requests":      {change: func(c *Config) { c.Duration = 1000 * time.Hour }, want: "requests; must be"},
		"time before the start":  {change: func(c *Config) { c.Duration = -time.Second }, want: "requests; must be"},
		"clients below 0":        {change: func(c *Config) { c.Clients = -1 }, want: "clients -1"},
		"too many clients":       {change: func(c *Config) { c.Clients = ClientsMax + 1 }, want: "clients 10001"},
		"closed loop":            {change: func(c *Config) { c.Closed, c.Rate = true, 0 }},
		"closed loop, rate":      {change: func(c *Config) { c.Closed = true }, want: "rate 10: a closed loop has none"},
		"closed loop, no time":   {change: func(c *Config) { *c = Config{Addr: c.Addr, Closed: true} }, want: "duration 0s"},
		"burst":                  {change: func(c *Config) { c.Mode, c.Burst = KeepAlive, true }},
		"burst of new ones":      {change: func(c *Config) { c.Burst = true }, want: "burst: only in mode keepalive"},
		"timeout below 0":        {change: func(c *Config) { c.Timeout = -1 }, want: "timeout"},
		"timeout beyond minutes": {change: func(c *Config) { c.Timeout = time.Hour }, want: "timeout"},
		"slow before the start":  {change: func(c *Config) { c.SlowAfter = -1 }, want: "slow after"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Addr: "127.0.0.1:80", Rate: 10, Duration: time.Second}
			test.change(&cfg)
			err := cfg.withDefaults().validate()
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// In a burst every client asks at once, then the schedule begins.
func TestBurst(t *testing.T) {
	t.Parallel()
	cfg := Config{Mode: KeepAlive, Clients: 3, Burst: true, Rate: 10, Duration: time.Second}
	if got := cfg.requests(); got != 13 {
		t.Errorf("%d requests, want 13", got)
	}
	for i, want := range []time.Duration{0, 0, 0, 0, 100 * time.Millisecond} {
		if got := cfg.due(i); got != want {
			t.Errorf("request %d is due at %v, want %v", i, got, want)
		}
	}
}

func TestScheduleIsExact(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rate     int
		duration time.Duration
		requests int
		lastDue  time.Duration
	}{
		"one":                  {rate: 1, duration: time.Second, requests: 1, lastDue: 0},
		"a third of a second":  {rate: 3, duration: time.Second, requests: 3, lastDue: 2 * time.Second / 3},
		"part of a second":     {rate: 1000, duration: 2500 * time.Microsecond, requests: 2, lastDue: time.Millisecond},
		"no sum of rounding":   {rate: 7, duration: 1000 * time.Second, requests: 7000, lastDue: 999_857_142_857},
		"the most that may be": {rate: RateMax, duration: 41 * time.Second, requests: 41 * RateMax, lastDue: 41*time.Second - 10*time.Microsecond},
		"days":                 {rate: 40, duration: 24 * time.Hour, requests: 3_456_000, lastDue: 24*time.Hour - 25*time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Rate: test.rate, Duration: test.duration}
			if got := cfg.requests(); got != test.requests {
				t.Fatalf("requests: got %d, want %d", got, test.requests)
			}
			if got := cfg.due(test.requests - 1); got != test.lastDue {
				t.Errorf("last due: got %d, want %d ns", got, test.lastDue)
			}
		})
	}
}
