package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Apps lists the built-in workers.
func Apps() []string { return slices.Clone(apps) }

// apps are what Apps lists; a build for tests has one more, see trial.go.
var apps = []string{"hello", appStatic, appEcho}

// Engines lists what --engine takes.
func Engines() []string { return []string{engineReactor, engineGoroutines} }

// Queues lists what --queue takes.
func Queues() []string { return []string{queueSlot, queueShared} }

// Rebalances lists what --rebalance takes.
func Rebalances() []string { return []string{rebalanceOn, rebalanceOff} }

const (
	rebalanceOn      = "on"
	rebalanceOff     = "off"
	engineReactor    = "reactor"
	engineGoroutines = "goroutines"
	queueSlot        = "slot"
	queueShared      = "shared"
	appStatic        = "static"
	// appEcho is the app that only one engine has: net/http speaks nothing but HTTP.
	appEcho = "echo"
)

// checkProgram looks at what decides which program a worker is, and how it is
// started and told to stop.
func (p *problems) checkProgram(c Config) {
	p.checkCommand(c.Command)
	p.checkEnvironment(c.Environment)
	p.checkWord("app", c.App, Apps())
	p.checkEngine(c)
	p.checkRoot(c.Root)
	p.checkTLS(c)
	p.checkWord("queue", c.Queue, Queues())
	p.checkHelpers(c)
	p.checkWord("rebalance", c.Rebalance, Rebalances())
	p.checkReady(c)
	if _, err := ParseStopSignal(c.StopSignal); err != nil {
		p.add("stop-signal", c.StopSignal, "%s", textOf(err))
	}
}

func (p *problems) checkCommand(command []string) {
	if len(command) > 0 && command[0] == "" {
		p.addItem("command", "1", "", "no program: the first word is the program's name, write it there")
	}
	for i, word := range command {
		if strings.ContainsRune(word, 0) {
			p.addItem("command", strconv.Itoa(i+1), word, "no program can be given a zero byte: write it without")
		}
	}
}

// checkEnvironment never shows a value: people keep passwords there.
func (p *problems) checkEnvironment(environment map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		add := func(text string) { p.addItem("environment", name, name, "%s", text) }
		switch {
		case name == "":
			add("a variable needs a name: write one")
		case strings.ContainsAny(name, "=\x00"):
			add("the name of a variable cannot hold = or a zero byte: write it without")
		case ownedVariable(name):
			add("prefork sets this variable for each worker itself: leave it out")
		case strings.ContainsRune(environment[name], 0):
			add("the value of a variable cannot hold a zero byte: write it without")
		}
	}
}

// ownedVariable names what tells a worker its sockets, its place and how to
// speak to its master; a worker with a wrong one could speak for another.
func ownedVariable(name string) bool {
	return name == "NOTIFY_SOCKET" || strings.HasPrefix(name, "LISTEN_") ||
		strings.HasPrefix(name, "PREFORK_") || strings.HasPrefix(name, "WATCHDOG_")
}

func (p *problems) checkEngine(c Config) {
	switch {
	case c.App == appEcho && c.Engine == engineGoroutines:
		p.add("engine", c.Engine, "the app echo needs the engine reactor: write reactor, or leave engine out")
	default:
		p.checkWord("engine", c.Engine, Engines())
	}
}

func (p *problems) checkRoot(root string) {
	switch {
	case root == "":
		p.add("root", root, "no folder: write its path, for example . for the current one")
	case strings.ContainsRune(root, 0):
		p.add("root", root, "a path cannot hold a zero byte: write it without")
	}
}

func (p *problems) checkReady(c Config) {
	parsed, err := ParseReady(c.Ready.String())
	switch {
	case err != nil || parsed != c.Ready:
		p.add("ready", c.Ready.String(), "not a way to be ready: write auto, notify, or a time like delay:1s")
	case !c.Ready.Notify && c.Ready.After >= c.StartTimeout && c.StartTimeout > 0:
		p.add("ready", c.Ready.String(), "start-timeout is %s, so no worker would ever be ready: write a shorter delay, or a longer start-timeout",
			FormatDuration(c.StartTimeout))
	}
}
