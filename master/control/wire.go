package control

import "time"

// The types here are the stable part of the interface: fields are added, and
// never renamed. testdata/status.json pins the names.

// Answer is the outcome of a command, and the body of every error.
type Answer struct {
	Result     string  `json:"result"`         // one of the Result constants
	Error      string  `json:"error"`          // why, and what to do; empty when the result is ok
	Seconds    float64 `json:"seconds"`        // how long it took
	Generation uint64  `json:"generation"`     // that serves now
	Workers    int     `json:"workers"`        // that are wanted now
	Note       string  `json:"note,omitempty"` // what the operator may not expect, though it went well

	// Change tells what became of connections, of a change that is done. The answer
	// waits for the last worker that left, but for a second only: see Draining.
	Change *ChangeReport `json:"change,omitempty"`
}

// The results of an Answer. In brackets the status of the HTTP response.
const (
	ResultOK         = "ok"          // done [200]
	ResultRefused    = "refused"     // it cannot be; nothing changed [400]
	ResultBusy       = "busy"        // another change, or too many clients; try again [409, 503]
	ResultRolledBack = "rolled_back" // it failed, and what was before serves on [500]
	ResultTimeout    = "timeout"     // it took too long and was rolled back [500]
	ResultFailed     = "failed"      // it failed [500]
)

// Status tells how a master and its workers stand.
type Status struct {
	Name          string         `json:"name"`
	PID           int            `json:"pid"` // the master's, not the keeper's
	Version       string         `json:"version"`
	State         string         `json:"state"` // starting, serving, reloading, upgrading, drained, degraded, stopping
	Generation    uint64         `json:"generation"`
	UptimeSeconds float64        `json:"uptime_seconds"`
	Listen        []ListenStatus `json:"listen"`
	Steering      string         `json:"steering"`
	Helpers       int            `json:"helpers"`
	Workers       []WorkerStatus `json:"workers"` // sorted by slot, then incarnation
	LastReload    ReloadStatus   `json:"last_reload"`
	LastChange    *ChangeReport  `json:"last_change,omitempty"` // or crash: the last whose numbers are final, or that is done
}

// ListenStatus is one listen address.
type ListenStatus struct {
	Name      string `json:"name"`
	Address   string `json:"address"` // resolved: its port is never 0
	ReusePort bool   `json:"reuseport"`
}

// WorkerStatus is one worker.
type WorkerStatus struct {
	Slot           int     `json:"slot"`
	Incarnation    uint64  `json:"incarnation"`
	Generation     uint64  `json:"generation"`
	PID            int     `json:"pid"`   // 0 while waiting
	State          string  `json:"state"` // waiting, starting, standby, ready, unwell, draining, aborting
	Steered        bool    `json:"steered"`
	AcceptQueue    int     `json:"accept_queue"`
	Connections    uint64  `json:"connections"`
	Accepted       uint64  `json:"accepted"`
	Helped         uint64  `json:"helped"`
	Requests       uint64  `json:"requests"`
	RSSBytes       uint64  `json:"rss_bytes"`
	CPUSeconds     float64 `json:"cpu_seconds"`
	AgeSeconds     float64 `json:"age_seconds"`
	Restarts       uint64  `json:"restarts"`
	RetryInSeconds float64 `json:"retry_in_seconds,omitempty"` // while waiting
	Status         string  `json:"status,omitempty"`           // what it says of itself: STATUS= of sd_notify(3)
}

// ReloadStatus is the outcome of the last reload; Result is empty before the
// first one.
type ReloadStatus struct {
	Result  string  `json:"result"` // ok, rolled_back, refused, timeout
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error"`

	Change *ChangeReport `json:"change,omitempty"` // what became of connections
}

// Health is the body of /healthz and /readyz.
type Health struct {
	State string `json:"state"` // as in Status
}

// Event is one thing that happened. Whoever publishes an event must not change
// its Fields afterwards.
type Event struct {
	Time    time.Time      `json:"time"`
	Message string         `json:"message"`
	Level   string         `json:"level"` // info, warning, error
	Fields  map[string]any `json:"fields,omitempty"`
}
