package ipc

import "time"

// Settings is what a built-in worker must know of the configuration: the JSON
// of Welcome.Settings. Durations are in nanoseconds, sizes in bytes. A key that
// a worker does not know is ignored, one that is missing has its zero value, so
// that neighbouring versions understand each other.
type Settings struct {
	App           string        `json:"app"`
	Engine        string        `json:"engine"`
	Root          string        `json:"root"` // of the app static
	IdleTimeout   time.Duration `json:"idle_timeout_ns"`
	HeaderTimeout time.Duration `json:"header_timeout_ns"`
	BodyTimeout   time.Duration `json:"body_timeout_ns"`
	OrphanTimeout time.Duration `json:"orphan_timeout_ns"`
	MaxHeader     int           `json:"max_header"`
	MaxBody       int           `json:"max_body"`
	Identify      bool          `json:"identify"`
}
