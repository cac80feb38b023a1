package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// HangTimeoutMin is the shortest hang-timeout: an idle worker shows a sign
	// of life once a second, so a shorter one would end healthy workers.
	HangTimeoutMin = 2 * time.Second
	// TimeoutMax bounds every time: longer than any drain that somebody waits
	// for, and sums of times stay far from an overflow.
	TimeoutMax = 30 * 24 * time.Hour
	// AddressesMax bounds the listen addresses: each costs a socket a slot.
	AddressesMax = 64
	// NameMax is the longest name in bytes; the control path must hold it.
	NameMax = 64

	maxHeaderLeast, maxHeaderMost = 256, 1 << 20
	maxBodyLeast, maxBodyMost     = 0, SizeMax
)

// Validate gives every problem of c at once, each a *Problem, joined by
// errors.Join; nil when there is none.
func (c Config) Validate() error {
	var found problems
	found.checkName(c.Name)
	found.checkListen(c.Listen)
	found.checkWorkers(c.Workers)
	found.checkProgram(c)
	found.checkSurge(c.Surge)
	found.checkTimeouts(c)
	found.checkSpread(c)
	found.checkSizes(c)
	if c.LogFormat != "" {
		found.checkWord("log-format", c.LogFormat, LogFormats())
	}
	found.checkWord("log-level", c.LogLevel, LogLevels())
	found.checkPaths(c)
	return errors.Join(found...)
}

// problems collects what Validate finds.
type problems []error

func (p *problems) add(key, value, format string, args ...any) {
	*p = append(*p, &Problem{Key: key, Value: value, Text: fmt.Sprintf(format, args...)})
}

// addItem is add for one of a key's several values.
func (p *problems) addItem(key, item, value, format string, args ...any) {
	*p = append(*p, &Problem{Key: key, Item: item, Value: value, Text: fmt.Sprintf(format, args...)})
}

func (p *problems) checkName(name string) {
	const rule = "write 1 to %d of the characters a-z A-Z 0-9 . _ -, not beginning with . or -"
	badAt := strings.IndexFunc(name, notInName)
	switch {
	case name == "":
		p.add("name", name, "no name, and the control socket needs one: "+rule, NameMax)
	case len(name) > NameMax:
		p.add("name", name, "%d characters are too many for a file name: "+rule, len(name), NameMax)
	case badAt >= 0:
		p.add("name", name, "it becomes a file name, and %.1q cannot stand in it: "+rule, name[badAt:], NameMax)
	case name[0] == '.' || name[0] == '-':
		p.add("name", name, "it would be a hidden file or look like a flag: "+rule, NameMax)
	}
}

func notInName(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-')
}

func (p *problems) checkListen(listen []Address) {
	switch {
	case len(listen) == 0:
		p.add("listen", "", "no address, and nobody could connect: write at least one, for example 127.0.0.1:8080")
		return
	case len(listen) > AddressesMax:
		p.add("listen", strconv.Itoa(len(listen))+" addresses", "each costs a socket in every slot: write at most %d", AddressesMax)
		return
	}
	for i, a := range listen {
		item := strconv.Itoa(i + 1)
		if _, err := ParseAddress(a.String()); err != nil {
			p.addItem("listen", item, a.String(), "%s", textOf(err))
			continue
		}
		for _, earlier := range listen[:i] {
			if a.Overlaps(earlier) {
				p.addItem("listen", item, a.String(), "it overlaps %s, and only one of them can be bound: leave one out", earlier)
				break
			}
		}
	}
}

func (p *problems) checkWorkers(n int) {
	if n < 0 || n > SlotsMax {
		p.add("workers", strconv.Itoa(n), "not a count from 1 to %d: write a number, or auto", SlotsMax)
	}
}

func (p *problems) checkSurge(s Surge) {
	if s.Count != 0 && s.Percent != 0 {
		p.add("surge", fmt.Sprintf("%d and %d%%", s.Count, s.Percent), "a count and a share at once: write one of them")
		return
	}
	if _, err := ParseSurge(s.String()); err != nil {
		p.add("surge", s.String(), "%s", textOf(err))
	}
}

func (p *problems) checkTimeouts(c Config) {
	for _, t := range []struct {
		key   string
		value time.Duration
	}{
		{"start-timeout", c.StartTimeout},
		{"drain-timeout", c.DrainTimeout},
		{"hang-timeout", c.HangTimeout},
		{"idle-timeout", c.IdleTimeout},
		{"header-timeout", c.HeaderTimeout},
		{"body-timeout", c.BodyTimeout},
		{"orphan-timeout", c.OrphanTimeout},
	} {
		switch {
		case t.value <= 0:
			p.add(t.key, FormatDuration(t.value), "it would be over before it begins: write a time above 0, for example 30s")
		case t.value > TimeoutMax:
			p.add(t.key, FormatDuration(t.value), "longer than %d days: write a shorter time", TimeoutMax/(24*time.Hour))
		case t.key == "hang-timeout" && t.value < HangTimeoutMin:
			p.add(t.key, FormatDuration(t.value), "an idle worker shows a sign of life once a second, so healthy ones would be ended: write at least %s", HangTimeoutMin)
		}
	}
}

func (p *problems) checkSpread(c Config) {
	switch {
	case c.DrainSpread < 0:
		p.add("drain-spread", FormatDuration(c.DrainSpread), "it would be over before it begins: write a time like 5s, or 0s for none")
	case c.DrainSpread > c.DrainTimeout && c.DrainTimeout > 0:
		p.add("drain-spread", FormatDuration(c.DrainSpread), "longer than drain-timeout, which is %s: it is the last part of that", FormatDuration(c.DrainTimeout))
	}
}

func (p *problems) checkSizes(c Config) {
	p.checkSize("max-header", c.MaxHeader, maxHeaderLeast, maxHeaderMost)
	p.checkSize("max-body", c.MaxBody, maxBodyLeast, maxBodyMost)
}

func (p *problems) checkSize(key string, size, least, most int) {
	if size < least || size > most {
		p.add(key, FormatSize(size), "each connection may hold that much memory, so the limits are %s to %s: write a size between them",
			FormatSize(least), FormatSize(most))
	}
}

// checkWord refuses a value that is not one of a few known words.
func (p *problems) checkWord(key, word string, known []string) {
	for _, k := range known {
		if word == k {
			return
		}
	}
	if near := Suggest(word, known); near != "" {
		p.add(key, word, "unknown: did you mean %s?", near)
		return
	}
	p.add(key, word, "unknown: write one of %s", strings.Join(known, ", "))
}

func (p *problems) checkPaths(c Config) {
	taken := map[string]string{c.TLSCert: "tls-cert", c.TLSKey: "tls-key"}
	for _, a := range c.Listen {
		if a.Network == NetworkUnix {
			taken[a.Path] = "listen"
		}
	}
	for _, f := range []struct{ key, path string }{
		{"control", c.Control}, {"pid-file", c.PIDFile}, {"log-file", c.LogFile},
	} {
		if f.path == "" {
			continue
		}
		p.checkPath(f.key, f.path)
		if other, twice := taken[f.path]; twice {
			p.add(f.key, f.path, "%s is the same file, and one would destroy the other: write another path", other)
		}
		taken[f.path] = f.key
	}
}

func (p *problems) checkPath(key, path string) {
	switch {
	case p.checkFilePath(key, path):
	case key == "control" && path[0] == '@':
		// net and x/sys/unix would take it for an abstract socket, which has no
		// owner and no mode: everybody on the machine could stop the service.
		p.add(key, path, "an abstract socket has no permissions: write the path of a file")
	case key == "control" && len(path) > SocketPathMax:
		p.add(key, path, "%d bytes, and the kernel takes at most %d for a socket: write a shorter path", len(path), SocketPathMax)
	}
}

// checkFilePath refuses what no file can be called.
func (p *problems) checkFilePath(key, path string) (refused bool) {
	switch {
	case strings.ContainsRune(path, 0):
		p.add(key, path, "a path cannot hold a zero byte: write it without")
	case strings.HasSuffix(path, "/"):
		p.add(key, path, "this is a folder: write the path of a file in it")
	default:
		return false
	}
	return true
}

// textOf takes the reason out of a Parse function's error, whose value the
// caller names itself.
func textOf(err error) string {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem.Text
	}
	return err.Error()
}
