package testproc

// Status is what `prefork status --json` prints, the part that is promised to
// stay. It is written down here a second time, not taken from the master's own
// package, so that a field renamed there by mistake fails a test.
type Status struct {
	Name          string         `json:"name"`
	PID           int            `json:"pid"`
	Version       string         `json:"version"`
	State         string         `json:"state"`
	Generation    uint64         `json:"generation"`
	UptimeSeconds float64        `json:"uptime_seconds"`
	Listen        []ListenStatus `json:"listen"`
	Steering      string         `json:"steering"`
	Helpers       int            `json:"helpers"`
	Workers       []WorkerStatus `json:"workers"`
	LastReload    ReloadStatus   `json:"last_reload"`
	LastChange    *ChangeReport  `json:"last_change"`
}

// ListenStatus is one address.
type ListenStatus struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Reuseport bool   `json:"reuseport"`
}

// WorkerStatus is one worker.
type WorkerStatus struct {
	Slot           int     `json:"slot"`
	Incarnation    uint64  `json:"incarnation"`
	Generation     uint64  `json:"generation"`
	PID            int     `json:"pid"` // 0 while it waits for its next start
	State          string  `json:"state"`
	Steered        bool    `json:"steered"`
	AcceptQueue    int     `json:"accept_queue"`
	Connections    uint64  `json:"connections"`
	Accepted       uint64  `json:"accepted"`
	Helped         uint64  `json:"helped"`
	Requests       uint64  `json:"requests"`
	RSSBytes       uint64  `json:"rss_bytes"`
	CPUSeconds     float64 `json:"cpu_seconds"`
	AgeSeconds     float64 `json:"age_seconds"`
	Restarts       int     `json:"restarts"`
	RetryInSeconds float64 `json:"retry_in_seconds"` // only while it waits
}

// ChangeReport is what became of connections because of a change or a crash.
type ChangeReport struct {
	Cause      string `json:"cause"`
	Draining   int    `json:"draining"`
	HandedOver uint64 `json:"handed_over"`
	Cut        uint64 `json:"cut"`
	Dropped    uint64 `json:"dropped"`
	Text       string `json:"text"`
}

// ReloadStatus is the end of the last reload.
type ReloadStatus struct {
	Result  string  `json:"result"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error"`
}

// Ready returns the workers in state ready, by slot as all are.
func (s Status) Ready() []WorkerStatus {
	var ready []WorkerStatus
	for _, w := range s.Workers {
		if w.State == "ready" {
			ready = append(ready, w)
		}
	}
	return ready
}
