package master

import (
	"encoding/json"

	"prefork/ipc"
	"prefork/master/config"
	"prefork/master/supervise"
)

// keepConfig keeps a configuration under the next revision and returns the
// part of it that the machine needs.
func (m *master) keepConfig(cfg config.Config) supervise.Target {
	m.lastRevision++
	m.configs[m.lastRevision] = cfg
	return supervise.Target{
		Revision: m.lastRevision, Slots: cfg.Workers,
		SurgeCount: cfg.Surge.Count, SurgePercent: cfg.Surge.Percent,
		StartTimeout: cfg.StartTimeout, DrainTimeout: cfg.DrainTimeout, HangTimeout: cfg.HangTimeout,
	}
}

// settingsFor returns what a built-in worker must know, for Welcome.
func settingsFor(cfg config.Config) []byte {
	b, err := json.Marshal(ipc.Settings{
		App:           cfg.App,
		IdleTimeout:   cfg.IdleTimeout,
		HeaderTimeout: cfg.HeaderTimeout,
		BodyTimeout:   cfg.BodyTimeout,
		OrphanTimeout: cfg.OrphanTimeout,
		MaxHeader:     cfg.MaxHeader,
		MaxBody:       cfg.MaxBody,
		Identify:      cfg.Identify,
	})
	if err != nil {
		panic("master: settings cannot be marshalled: " + err.Error()) // plain numbers and words
	}
	return b
}
