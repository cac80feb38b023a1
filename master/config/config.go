package config

import "time"

// Config is one resolved configuration. Start from Default: the zero value is
// not valid.
type Config struct {
	// Name tells one master of a machine from another. It names the control
	// socket and the lock. Default "prefork".
	Name string
	// Listen are the addresses to serve, in the operator's order.
	Listen []Address
	// Workers is the number of slots; 0 means "auto", which is resolved before
	// the first worker starts.
	Workers int
	// Command is the program of each worker with its arguments; empty: the
	// built-in App.
	Command []string
	// Environment is added to the workers'. It is never shown: people keep
	// passwords there.
	Environment map[string]string
	// App is the built-in worker, one of Apps.
	App string
	// Engine runs the built-in worker, one of Engines.
	Engine string
	// Root is the folder that the app static serves.
	Root string
	// TLSCert and TLSKey are the paths of PEM files, for workers that speak TLS;
	// both are empty for those that do not.
	TLSCert, TLSKey string
	// Certificate is what these files hold: see Resolved.Certify.
	Certificate Certificate
	// Queue is "slot" for a listening socket for each slot, or "shared" for one
	// that all slots share.
	Queue string
	// Helpers is how many siblings watch each slot's sockets beside its own worker,
	// so that nobody waits for one that is busy, stuck or dead: 0 to HelpersMax.
	Helpers int
	// Rebalance says whether workers that hold far more connections than others hand
	// idle ones to them: one of Rebalances.
	Rebalance string
	// SiblingFDs gives a Command the sockets of its siblings, too.
	SiblingFDs bool
	// Ready tells when a Command counts as ready.
	Ready Ready
	// StopSignal tells a Command to drain: a name without SIG.
	StopSignal string
	// Surge is how many workers of the next generation may run beside the old
	// ones during a reload. More is faster and needs more memory.
	Surge Surge

	// StartTimeout is how long a new worker may take until it is ready.
	StartTimeout time.Duration
	// DrainTimeout is how long a worker may finish what is in flight.
	DrainTimeout time.Duration
	// DrainSpread is how long before the end of that our own workers close what is still in
	// flight, one connection after the other; 0: all of it at the end.
	DrainSpread time.Duration
	// HangTimeout is how long a worker's loop may stand still before the worker
	// is replaced; at least HangTimeoutMin.
	HangTimeout time.Duration
	// IdleTimeout closes a connection that waits between two requests.
	IdleTimeout time.Duration
	// HeaderTimeout bounds the time from a request's first byte to the end of
	// its header.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the time that a request's body may take.
	BodyTimeout time.Duration
	// OrphanTimeout is how long our workers serve after their master has died.
	OrphanTimeout time.Duration

	// MaxHeader is the largest header of a request in bytes; beyond it: 431.
	MaxHeader int
	// MaxBody is the largest body of a request in bytes; beyond it: 413.
	MaxBody int
	// Identify lets our HTTP workers tell in a header who answered.
	Identify bool

	// Control is the path of the control socket; empty: ControlPath.
	Control string
	// PIDFile receives the master's pid, for information only; empty: none.
	PIDFile string
	// LogFile receives the log; empty: standard error.
	LogFile string
	// LogFormat is one of LogFormats; empty: text on a terminal, JSON elsewhere.
	LogFormat string
	// LogLevel is one of LogLevels.
	LogLevel string
}

// Default gives the configuration of `prefork run` without any flag. The caller
// owns the result; its slices are not shared.
func Default() Config {
	return Config{
		Name:          "prefork",
		Listen:        []Address{mustAddress("127.0.0.1:8080")},
		App:           "hello",
		Engine:        engineReactor,
		Root:          ".",
		Queue:         "slot",
		Helpers:       2,
		Rebalance:     rebalanceOn,
		Ready:         Ready{Notify: true, After: readyAutoAfter},
		StopSignal:    "TERM",
		Surge:         Surge{Percent: 100},
		StartTimeout:  30 * time.Second,
		DrainTimeout:  30 * time.Second,
		HangTimeout:   30 * time.Second,
		IdleTimeout:   75 * time.Second,
		HeaderTimeout: 10 * time.Second,
		BodyTimeout:   30 * time.Second,
		OrphanTimeout: 60 * time.Second,
		MaxHeader:     8 << 10,
		MaxBody:       1 << 20,
		LogLevel:      "info",
	}
}

// LogFormats lists what --log-format takes.
func LogFormats() []string { return []string{"text", "json"} }

// LogLevels lists what --log-level takes, the most talkative first.
func LogLevels() []string { return []string{"debug", "info", "warn", "error"} }
