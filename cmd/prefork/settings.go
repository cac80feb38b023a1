package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"prefork/master/config"
)

// setting is one flag of run and what it sets.
type setting struct {
	option
	set func(*config.Config, string) error
}

var defaults = config.Default()

// settings is the one table of everything that an operator can set.
var settings = []setting{
	word("name", "NAME", "names control socket and lock", defaults.Name, func(c *config.Config) *string { return &c.Name }),
	{option{name: "listen", short: "l", value: "ADDR", usage: "address to serve, host:port or [v6]:port; may be given several times", preset: defaults.Listen[0].String(), repeat: true}, addListen},
	{option{name: "workers", short: "w", value: "N", usage: "how many workers; auto: one for each CPU that this process may use", preset: "auto"},
		into(func(c *config.Config) *int { return &c.Workers }, config.ParseWorkers)},
	word("app", "APP", "built-in worker: "+strings.Join(config.Apps(), ", "), defaults.App, func(c *config.Config) *string { return &c.App }),
	{option{name: "surge", value: "N|N%", usage: "how many new workers may run beside the old ones in a reload; 100%: all or nothing", preset: defaults.Surge.String()},
		into(func(c *config.Config) *config.Surge { return &c.Surge }, config.ParseSurge)},
	timeout("start-timeout", "how long a worker may take until it is ready", func(c *config.Config) *time.Duration { return &c.StartTimeout }),
	timeout("drain-timeout", "how long a worker may finish what is in flight", func(c *config.Config) *time.Duration { return &c.DrainTimeout }),
	timeout("hang-timeout", "how long a worker's loop may stand still before it is replaced", func(c *config.Config) *time.Duration { return &c.HangTimeout }),
	timeout("idle-timeout", "how long a connection may wait between two requests", func(c *config.Config) *time.Duration { return &c.IdleTimeout }),
	timeout("header-timeout", "how long a request's header may take", func(c *config.Config) *time.Duration { return &c.HeaderTimeout }),
	timeout("body-timeout", "how long a request's body may take", func(c *config.Config) *time.Duration { return &c.BodyTimeout }),
	timeout("orphan-timeout", "how long workers serve without a master", func(c *config.Config) *time.Duration { return &c.OrphanTimeout }),
	size("max-header", "largest header of a request; beyond: 431", func(c *config.Config) *int { return &c.MaxHeader }),
	size("max-body", "largest body of a request; beyond: 413", func(c *config.Config) *int { return &c.MaxBody }),
	{option{name: "identify", usage: "workers tell in a Prefork-Worker header who answered"},
		func(c *config.Config, _ string) error { c.Identify = true; return nil }},
	word("control", "PATH", "control socket", "after the name", func(c *config.Config) *string { return &c.Control }),
	word("pid-file", "PATH", "write the master's pid there; information only", "none", func(c *config.Config) *string { return &c.PIDFile }),
	word("log-file", "PATH", "log to a file, which USR1 reopens", "standard error", func(c *config.Config) *string { return &c.LogFile }),
	word("log-format", "FORMAT", strings.Join(config.LogFormats(), " or "), "text on a terminal, json elsewhere", func(c *config.Config) *string { return &c.LogFormat }),
	word("log-level", "LEVEL", strings.Join(config.LogLevels(), ", "), defaults.LogLevel, func(c *config.Config) *string { return &c.LogLevel }),
}

func timeout(name, usage string, field func(*config.Config) *time.Duration) setting {
	return setting{option{name: name, value: "D", usage: usage, preset: short(*field(&defaults))}, into(field, parseDuration)}
}

func size(name, usage string, field func(*config.Config) *int) setting {
	return setting{option{name: name, value: "SIZE", usage: usage, preset: config.FormatSize(*field(&defaults))}, into(field, config.ParseSize)}
}

func word(name, placeholder, usage, preset string, field func(*config.Config) *string) setting {
	return setting{option{name: name, value: placeholder, usage: usage, preset: preset},
		func(c *config.Config, v string) error { *field(c) = v; return nil }}
}

// into sets a field of the configuration to what parse makes of a word.
func into[T any](field func(*config.Config) *T, parse func(string) (T, error)) func(*config.Config, string) error {
	return func(c *config.Config, v string) error {
		parsed, err := parse(v)
		if err == nil {
			*field(c) = parsed
		}
		return err
	}
}

func addListen(c *config.Config, v string) error {
	a, err := config.ParseAddress(v)
	if err == nil {
		c.Listen = append(c.Listen, a)
	}
	return err
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%q: not a time: write a number with a unit, like 30s, 500ms or 2m", v)
	}
	return d, nil
}

// short prints 1m15s as it is, and 1m0s as 1m.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

func settingOptions() []option {
	list := make([]option, len(settings))
	for i, s := range settings {
		list[i] = s.option
	}
	return list
}

// configuration resolves what the flags ask for. Its error lists every problem,
// a line each.
func configuration(c *cli.Context) (config.Config, error) {
	cfg := config.Default()
	if c.IsSet("listen") {
		cfg.Listen = nil
	}
	var problems []error
	for _, s := range settings {
		for _, v := range given(c, s.option) {
			if err := s.set(&cfg, v); err != nil {
				problems = append(problems, fmt.Errorf("--%s %w", s.name, err))
			}
		}
	}
	if len(problems) == 0 { // else it would speak of values that nobody gave
		problems = validate(cfg)
	}
	if len(problems) > 0 {
		return cfg, usagef("%v", errors.Join(problems...))
	}
	return cfg, nil
}

// validate returns the problems of a configuration, named by their flags.
func validate(cfg config.Config) (problems []error) {
	err := cfg.Validate()
	if err == nil {
		return nil
	}
	for line := range strings.Lines(err.Error()) {
		problems = append(problems, errors.New("--"+strings.TrimRight(line, "\n")))
	}
	return problems
}

// given returns the values that were given for an option, in order.
func given(c *cli.Context, o option) []string {
	switch {
	case !c.IsSet(o.name) || o.value == "" && !c.Bool(o.name):
		return nil
	case o.value == "":
		return []string{"true"}
	case o.repeat:
		return c.StringSlice(o.name)
	}
	return []string{c.String(o.name)}
}
