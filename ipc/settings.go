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
	DrainSpread   time.Duration `json:"drain_spread_ns"`
	MaxHeader     int           `json:"max_header"`
	MaxBody       int           `json:"max_body"`
	Identify      bool          `json:"identify"`
	TLS           *TLS          `json:"tls,omitempty"` // nil: none; on the engine goroutines
}

// TicketKeySize is the length of each of TLS.TicketKeys.
const TicketKeySize = 32

// TLS is what a worker needs to speak it. Its texts are secrets: they stand in no
// message for people.
type TLS struct {
	Certificate string   `json:"certificate"` // PEM, the server's own first
	Key         string   `json:"key"`         // PEM
	TicketKeys  [][]byte `json:"ticket_keys"` // the first one seals, all of them open; base64 in JSON
}
