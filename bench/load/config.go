package load

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Mode says how requests use connections.
type Mode string

const (
	// NewConnection opens a connection for each request.
	NewConnection Mode = "new"
	// KeepAlive sends all requests over Config.Clients connections. A request
	// on a connection that the server had closed is a failure of class
	// [ClosedEarly], also when the close came before the request: a client
	// cannot know. Only an answer that says "Connection: close" lets the client
	// open a new connection without a loss.
	KeepAlive Mode = "keepalive"
)

const (
	// RateMax bounds Config.Rate, in requests a second.
	RateMax = 100_000
	// RequestsMax bounds Rate x Duration: every request has an entry in memory.
	RequestsMax = 4 << 20
	// ClientsMax bounds Config.Clients.
	ClientsMax = 10_000
	// TimeoutMax bounds Config.Timeout.
	TimeoutMax = 2 * time.Minute

	defaultClients = 16
	defaultTimeout = 10 * time.Second
)

// Config says what to send, how often and for how long.
type Config struct {
	// Addr is the target, a loopback address with a port: "127.0.0.1:8080",
	// "[::1]:8080". Names are refused; nothing is ever resolved.
	Addr string
	// Path of the GET request. Empty means "/".
	Path string
	// Mode is NewConnection when empty.
	Mode Mode
	// Closed makes a closed loop of it: there is no schedule, each of Clients asks
	// again as soon as it has its answer. It is for what a saturated server can do
	// and costs, and says little about latency: a stall hides the requests that
	// were not sent because of it.
	Closed bool
	// Rate is the number of requests a second, 1 to RateMax; 0 in a closed loop.
	Rate int
	// Duration is how long requests become due; Rate x Duration of them in all,
	// at least one and at most RequestsMax, with which a closed loop ends too.
	Duration time.Duration
	// Clients is the number of connections of mode KeepAlive, and of a closed loop
	// in any mode; 0 means 16. Else NewConnection ignores it.
	Clients int
	// Burst has the first Clients requests due at once, as if they had been waiting for
	// the server to come up. It is for KeepAlive, whose connections then are opened in
	// one burst. The schedule begins with the next one, and has Clients more in all.
	Burst bool
	// Timeout is the time a request has from the moment it is due until the end
	// of its answer; 0 means 10 s.
	Timeout time.Duration
	// SlowAfter is the time from sent to answered beyond which an answer is
	// listed in Report.Slow; 0 lists none.
	SlowAfter time.Duration
}

// withDefaults fills what may be left out.
func (c Config) withDefaults() Config {
	if c.Path == "" {
		c.Path = "/"
	}
	if c.Mode == "" {
		c.Mode = NewConnection
	}
	if c.Clients == 0 {
		c.Clients = defaultClients
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return c
}

// validate returns every problem at once. It expects the defaults filled in.
func (c Config) validate() error {
	var problems []error
	refuse := func(format string, values ...any) {
		problems = append(problems, fmt.Errorf(format, values...))
	}
	if _, err := parseLoopback(c.Addr); err != nil {
		problems = append(problems, err)
	}
	// A blank or a line end in the path would change the meaning of the request.
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsFunc(c.Path, notInPath) {
		refuse("path %q: must begin with / and hold printable ASCII without blanks", c.Path)
	}
	if c.Mode != NewConnection && c.Mode != KeepAlive {
		refuse("mode %q: unknown; choose %s or %s", c.Mode, NewConnection, KeepAlive)
	}
	problems = append(problems, c.validateSchedule())
	if c.Clients < 1 || c.Clients > ClientsMax {
		refuse("clients %d: must be 1 to %d", c.Clients, ClientsMax)
	}
	if c.Burst && (c.Closed || c.Mode != KeepAlive) {
		refuse("burst: only in mode %s with a rate; leave it out", KeepAlive)
	}
	if c.Timeout < 0 || c.Timeout > TimeoutMax {
		refuse("timeout %s: must be above 0 and at most %s", c.Timeout, TimeoutMax)
	}
	if c.SlowAfter < 0 {
		refuse("slow after %s: must be 0 or more", c.SlowAfter)
	}
	return errors.Join(problems...)
}

// validateSchedule looks at how many requests there will be.
func (c Config) validateSchedule() error {
	switch {
	case c.Closed && c.Rate != 0:
		return fmt.Errorf("rate %d: a closed loop has none, its clients ask as fast as they are answered; leave it out", c.Rate)
	case c.Closed && c.Duration <= 0:
		return fmt.Errorf("duration %s: must be above 0", c.Duration)
	case c.Closed:
		return nil
	case c.Rate < 1 || c.Rate > RateMax:
		return fmt.Errorf("rate %d: must be 1 to %d requests a second", c.Rate, RateMax)
	}
	if n := c.requests(); n < 1 || n > RequestsMax {
		return fmt.Errorf("duration %s at %d requests a second: makes %d requests; must be 1 to %d", c.Duration, c.Rate, n, RequestsMax)
	}
	return nil
}

// requests is the number of requests that become due. It expects a valid rate.
func (c Config) requests() int {
	// Whole seconds apart from the rest: rate x nanoseconds overflows after a day.
	seconds, rest := c.Duration/time.Second, c.Duration%time.Second
	return int(seconds)*c.Rate + int(int64(rest)*int64(c.Rate)/int64(time.Second)) + c.burst()
}

// burst is how many requests are due at the start of the schedule, beside its own.
func (c Config) burst() int {
	if c.Burst {
		return c.Clients
	}
	return 0
}

// due is the time from the start of the schedule to request i.
func (c Config) due(i int) time.Duration {
	return time.Duration(int64(max(0, i-c.burst())) * int64(time.Second) / int64(c.Rate))
}

func notInPath(r rune) bool { return r <= ' ' || r > '~' }

// parseLoopback accepts a literal loopback address with a port, nothing else.
func parseLoopback(addr string) (netip.AddrPort, error) {
	target, err := netip.ParseAddrPort(addr)
	switch {
	case err != nil:
		return netip.AddrPort{}, fmt.Errorf("address %q: not a literal IP:PORT (names are not resolved); use 127.0.0.1:PORT or [::1]:PORT", addr)
	case !target.Addr().Unmap().IsLoopback():
		return netip.AddrPort{}, fmt.Errorf("address %q: not a loopback address; load may only meet this machine, use 127.0.0.1:PORT or [::1]:PORT", addr)
	case target.Port() == 0:
		return netip.AddrPort{}, fmt.Errorf("address %q: port 0 cannot be connected to; give the port that the server listens on", addr)
	}
	return netip.AddrPortFrom(target.Addr().Unmap(), target.Port()), nil
}
