package master

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"prefork/ipc"
	"prefork/master/config"
	"prefork/master/supervise"
)

// keepConfig keeps a configuration under the next revision and returns the
// part of it that the machine needs.
func (m *master) keepConfig(cfg config.Config) supervise.Target {
	m.lastRevision++
	m.configs[m.lastRevision] = cfg
	m.tickets.add(m.lastRevision)
	for _, doubt := range cfg.Certificate.Doubts {
		m.journal.note(supervise.Note{Level: supervise.Warn, Text: "certificate and key are used as they are", Reason: doubt})
	}
	t := supervise.Target{
		Revision: m.lastRevision, Slots: cfg.Workers,
		SurgeCount: cfg.Surge.Count, SurgePercent: cfg.Surge.Percent,
		StartTimeout: cfg.StartTimeout, DrainTimeout: cfg.DrainTimeout, HangTimeout: cfg.HangTimeout,
	}
	t.Helpers = cfg.HelpersOfOurs()
	t.Rebalance = cfg.Rebalances()
	if len(cfg.Command) == 0 {
		t.Own = true
	} else {
		t.ReadyAfter = cfg.Ready.After
		if cfg.Ready.Notify && m.speaks[commandKey(cfg)] {
			t.ReadyAfter = 0 // its last release could say READY=1: one that only lives is broken
		}
		t.NeverReady = "it has not said READY=1 to its NOTIFY_SOCKET (sd_notify); a program that cannot needs ready = \"delay:5s\" or the like"
	}
	return t
}

// commandKey names a COMMAND, whatever release of it.
func commandKey(cfg config.Config) string { return strings.Join(cfg.Command, "\x00") }

// environment adds what the configuration says to the environment of all
// workers. What stands there twice counts as the configuration has it.
func environment(common []string, more map[string]string) []string {
	env := slices.DeleteFunc(slices.Clone(common), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, again := more[name]
		return again
	})
	for _, name := range slices.Sorted(maps.Keys(more)) {
		env = append(env, name+"="+more[name])
	}
	return env
}

// settingsFor returns what a built-in worker must know, for Welcome.
func settingsFor(cfg config.Config, ticketKeys [][]byte) []byte {
	b, err := json.Marshal(ipc.Settings{
		App:           cfg.App,
		Engine:        cfg.Engine,
		Root:          cfg.Root,
		IdleTimeout:   cfg.IdleTimeout,
		HeaderTimeout: cfg.HeaderTimeout,
		BodyTimeout:   cfg.BodyTimeout,
		OrphanTimeout: cfg.OrphanTimeout,
		DrainSpread:   cfg.DrainSpread,
		MaxHeader:     cfg.MaxHeader,
		MaxBody:       cfg.MaxBody,
		Identify:      cfg.Identify,
		TLS:           tlsFor(cfg, ticketKeys),
	})
	if err != nil {
		panic("master: settings cannot be marshalled: " + err.Error()) // plain numbers and words
	}
	return b
}
