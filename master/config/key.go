package config

import (
	"slices"
	"strconv"
	"time"
)

// Kind is how the value of a key is written in a file.
type Kind int

const (
	Text   Kind = iota // "debug"
	Time               // "20s"
	Size               // "8KiB", or 8192
	Count              // 4, or a word that is no number: "auto", "25%"
	Switch             // true or false
	List               // ["a", "b"]
	Table              // { NAME = "value" }
)

// Key is one thing that an operator can set. Its name is the key in the file,
// the flag after "--", and, in capitals after PREFORK_, the variable.
type Key struct {
	Name string
	Kind Kind
	// Fixed keys hold from the start of a master to its end: see RefuseChange.
	Fixed bool
	// FileOnly keys have no flag and no variable.
	FileOnly bool
	// BuiltIn keys choose a built-in app: see Sources.OwnProgram.
	BuiltIn bool

	example string // how a value looks in a file when there is none by default
	set     func(*Config, []string) error
	words   func(*Config) []string
}

// Keys gives the one table of everything that can be set, in the order in which
// people want to read it. The environment is last: in a file, a table ends what
// belongs to nothing.
func Keys() []Key { return slices.Clone(keys) }

// Words gives the value that the key has in a configuration, as words that set
// it again: one, or any number for a list, or a name and a value in turn for a
// table.
func (k Key) Words(c Config) []string { return k.words(&c) }

var keys = []Key{
	fixed(text("name", func(c *Config) *string { return &c.Name })),
	{Name: "listen", Kind: List, set: setListen, words: wordsOfListen},
	key("workers", Count, func(c *Config) *int { return &c.Workers }, ParseWorkers, formatWorkers),
	{Name: "command", Kind: List, FileOnly: true, example: `["python3", "app.py"]`, set: setCommand, words: wordsOfCommand},
	builtIn(text("app", func(c *Config) *string { return &c.App })),
	builtIn(text("engine", func(c *Config) *string { return &c.Engine })),
	builtIn(text("root", func(c *Config) *string { return &c.Root })),
	optional("tls-cert", `"/etc/ssl/shop.pem"`, func(c *Config) *string { return &c.TLSCert }),
	optional("tls-key", `"/etc/ssl/private/shop.key"`, func(c *Config) *string { return &c.TLSKey }),
	text("queue", func(c *Config) *string { return &c.Queue }),
	key("helpers", Count, func(c *Config) *int { return &c.Helpers }, ParseHelpers, strconv.Itoa),
	key("sibling-fds", Switch, func(c *Config) *bool { return &c.SiblingFDs }, parseSwitch, strconv.FormatBool),
	text("rebalance", func(c *Config) *string { return &c.Rebalance }),
	key("ready", Text, func(c *Config) *Ready { return &c.Ready }, ParseReady, Ready.String),
	key("stop-signal", Text, func(c *Config) *string { return &c.StopSignal }, ParseStopSignal, asItIs),
	key("surge", Count, func(c *Config) *Surge { return &c.Surge }, ParseSurge, Surge.String),
	timeout("start-timeout", func(c *Config) *time.Duration { return &c.StartTimeout }),
	timeout("drain-timeout", func(c *Config) *time.Duration { return &c.DrainTimeout }),
	timeout("drain-spread", func(c *Config) *time.Duration { return &c.DrainSpread }),
	timeout("hang-timeout", func(c *Config) *time.Duration { return &c.HangTimeout }),
	timeout("idle-timeout", func(c *Config) *time.Duration { return &c.IdleTimeout }),
	timeout("header-timeout", func(c *Config) *time.Duration { return &c.HeaderTimeout }),
	timeout("body-timeout", func(c *Config) *time.Duration { return &c.BodyTimeout }),
	timeout("orphan-timeout", func(c *Config) *time.Duration { return &c.OrphanTimeout }),
	key("max-header", Size, func(c *Config) *int { return &c.MaxHeader }, ParseSize, FormatSize),
	key("max-body", Size, func(c *Config) *int { return &c.MaxBody }, ParseSize, FormatSize),
	key("identify", Switch, func(c *Config) *bool { return &c.Identify }, parseSwitch, strconv.FormatBool),
	fixed(optional("control", `"/run/shop.sock"`, func(c *Config) *string { return &c.Control })),
	fixed(optional("pid-file", `"/run/shop.pid"`, func(c *Config) *string { return &c.PIDFile })),
	fixed(optional("log-file", `"/var/log/shop.log"`, func(c *Config) *string { return &c.LogFile })),
	fixed(optional("log-format", `"json"`, func(c *Config) *string { return &c.LogFormat })),
	text("log-level", func(c *Config) *string { return &c.LogLevel }),
	{Name: "environment", Kind: Table, FileOnly: true, example: `{ NAME = "value" }`, set: setEnvironment, words: wordsOfEnvironment},
}

// key makes a key with one value, which parse and format turn into a word and back.
func key[T any](name string, kind Kind, field func(*Config) *T, parse func(string) (T, error), format func(T) string) Key {
	return Key{
		Name: name, Kind: kind,
		set: func(c *Config, words []string) error {
			v, err := parse(last(words))
			if err == nil {
				*field(c) = v
			}
			return err
		},
		words: func(c *Config) []string { return []string{format(*field(c))} },
	}
}

// text makes a key whose word only Validate judges.
func text(name string, field func(*Config) *string) Key {
	return key(name, Text, field, func(s string) (string, error) { return s, nil }, asItIs)
}

// optional makes a text that is empty by default.
func optional(name, example string, field func(*Config) *string) Key {
	k := text(name, field)
	k.example = example
	return k
}

func timeout(name string, field func(*Config) *time.Duration) Key {
	return key(name, Time, field, ParseDuration, FormatDuration)
}

func fixed(k Key) Key {
	k.Fixed = true
	return k
}

func builtIn(k Key) Key {
	k.BuiltIn = true
	return k
}

// last is the word that counts when one is given several times, as the last of
// several equal flags does.
func last(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

func asItIs(s string) string { return s }

func parseSwitch(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, refuse(s, "not on or off: write true or false")
	}
	return s == "true", nil
}

func findKey(name string) (Key, bool) {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}
