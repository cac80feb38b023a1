package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Sources is what a configuration is made of. What stands further down replaces
// what stands above it, key by key, and all of it replaces the defaults.
type Sources struct {
	File    *File    // nil: there is none
	Environ []string // of this process; PREFORK_* is read
	Flags   []Given
	Command []string // what follows "--"; empty: nothing does
	// OwnProgram says that without a COMMAND the workers are the program that asks,
	// so that there is no built-in app to choose.
	OwnProgram bool
}

// File is a configuration file that somebody has read.
type File struct {
	Path string // for messages
	Data []byte
}

// Given is a flag with its values.
type Given struct {
	Name   string // of a Key, without "--"
	Values []string
}

// Resolved is a configuration that knows where its values came from.
type Resolved struct {
	Config     Config
	origins    origins
	ownProgram bool
}

// origins has the place of each key that is not as by default, and under
// itemName those of the values that have one of their own.
type origins map[string]Origin

func itemName(key, item string) string { return key + " " + item }

// of gives the place of a key's item, or else the key's.
func (o origins) of(key, item string) Origin {
	if origin, ok := o[itemName(key, item)]; ok {
		return origin
	}
	return o[key]
}

// forget removes what is known about a key and its items.
func forget[V any](known map[string]V, key string) {
	maps.DeleteFunc(known, func(name string, _ V) bool {
		return name == key || strings.HasPrefix(name, itemName(key, ""))
	})
}

// brokenName is what of a key cannot be judged any more.
func brokenName(p *Problem) string {
	if p.Item == "" {
		return p.Key
	}
	return itemName(p.Key, p.Item)
}

// findingsMax bounds the lines that one attempt gives; nobody reads more.
const findingsMax = 100

// layer is what one source says.
type layer struct {
	settings []setting
	findings []finding
	broken   []string // see brokenName: what the findings are about
}

// setting is one key that a source sets.
type setting struct {
	key    Key
	words  []string
	origin Origin
	items  map[string]Origin // of single values, where they are known
}

// resolution is a configuration while it is put together.
type resolution struct {
	config   Config
	origins  origins
	findings []finding
	broken   map[string]bool
}

// Resolve puts a configuration together. Its error has all problems, each a line
// that says where it stands, and joined by errors.Join: those of the file first,
// by line, then those of the environment and of the flags.
func Resolve(s Sources) (Resolved, error) {
	r := &resolution{config: Default(), origins: origins{}, broken: map[string]bool{}}
	if s.File != nil {
		r.apply(readFile(*s.File))
	}
	r.apply(readEnviron(s.Environ))
	r.apply(readFlags(s.Flags, s.Command))
	if s.OwnProgram {
		r.refuseBuiltIn()
	}
	r.chooseEngine()
	r.validate()
	return Resolved{Config: r.config, origins: r.origins, ownProgram: s.OwnProgram}, r.err()
}

// refuseBuiltIn refuses what would choose a built-in app, where there is none.
func (r *resolution) refuseBuiltIn() {
	for _, k := range keys {
		if _, set := r.origins[k.Name]; set && k.BuiltIn {
			r.find(&Problem{Key: k.Name, Value: last(k.Words(r.config)), Text: "this program is its own app and has no other: leave it out"})
			r.broken[k.Name] = true
		}
	}
}

func (r *resolution) apply(l layer) {
	r.findings = append(r.findings, l.findings...)
	for _, s := range l.settings {
		r.set(s)
	}
	for _, name := range l.broken {
		r.broken[name] = true
	}
	r.chooseProgram(l)
}

func (r *resolution) set(s setting) {
	forget(r.origins, s.key.Name)
	forget(r.broken, s.key.Name)
	r.origins[s.key.Name] = s.origin
	for item, origin := range s.items {
		r.origins[itemName(s.key.Name, item)] = origin
	}
	for _, problem := range problemsOf(s.key.set(&r.config, s.words)) {
		problem.Key = s.key.Name
		r.find(problem)
		r.broken[brokenName(problem)] = true
	}
}

// find adds a problem where its value stands.
func (r *resolution) find(p *Problem) {
	r.findings = append(r.findings, r.origins.of(p.Key, p.Item).find(p))
}

// chooseProgram keeps one of app and command: a worker is either, and the higher
// layer knows which. Within one layer both are a contradiction.
func (r *resolution) chooseProgram(l layer) {
	app, hasApp := l.find("app")
	command, hasCommand := l.find("command")
	hasCommand = hasCommand && len(command.words) > 0
	switch {
	case hasApp && hasCommand:
		r.find(&Problem{Key: "app", Value: last(app.words),
			Text: fmt.Sprintf("there is a command too (%.100q), and a worker is one of the two: leave one out", command.words[0])})
	case hasApp && len(r.config.Command) > 0:
		r.config.Command = nil
		forget(r.origins, "command")
		r.origins["command"] = app.origin
	case hasCommand:
		r.config.App = Default().App
		forget(r.origins, "app")
	}
}

// chooseEngine gives TLS the one engine that has it, unless somebody asked for
// another. The app echo has no other, and so no TLS.
func (r *resolution) chooseEngine() {
	if _, asked := r.origins["engine"]; !asked && r.config.TLS() && r.config.App != appEcho {
		r.config.Engine = engineGoroutines
		r.origins["engine"] = Origin{source: fromNeed, name: "tls-cert"}
	}
}

// validate adds what Validate finds, except about values that were refused
// already: the configuration has others in their place.
func (r *resolution) validate() {
	for _, p := range problemsOf(r.config.Validate()) {
		if !r.broken[p.Key] && !r.broken[itemName(p.Key, p.Item)] {
			r.find(p)
		}
	}
}

func (r *resolution) err() error {
	slices.SortStableFunc(r.findings, compareFindings)
	shown := r.findings[:min(len(r.findings), findingsMax)]
	errs := make([]error, 0, len(shown)+1)
	for _, f := range shown {
		errs = append(errs, f)
	}
	if more := len(r.findings) - len(shown); more > 0 {
		errs = append(errs, fmt.Errorf("and %d problems more: correct these first", more))
	}
	return errors.Join(errs...)
}

func (l *layer) find(key string) (setting, bool) {
	i := slices.IndexFunc(l.settings, func(s setting) bool { return s.key.Name == key })
	if i < 0 {
		return setting{}, false
	}
	return l.settings[i], true
}

// problemsOf takes joined problems apart.
func problemsOf(err error) []*Problem {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*Problem
		for _, one := range joined.Unwrap() {
			all = append(all, problemsOf(one)...)
		}
		return all
	}
	var p *Problem
	if errors.As(err, &p) {
		return []*Problem{p}
	}
	return nil
}
