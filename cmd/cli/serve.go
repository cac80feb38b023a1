package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"prefork/master"
	"prefork/master/config"
	"prefork/master/process"
	"prefork/worker"
)

func runCommand(env environment) *cli.Command {
	return env.withOptions(&cli.Command{
		Name:      "run",
		Usage:     "start in the foreground",
		UsageText: "[flags] [-- COMMAND [ARG...]]",
		Description: "   Binds the addresses, starts the workers, and serves until it is told to stop.\n" +
			"   Signals: HUP reload, TTIN and TTOU one worker more or less, USR1 reopen logs,\n" +
			"   TERM and QUIT stop gracefully, INT at once (on a terminal the first ^C gracefully).",
		Action: func(c *cli.Context) error {
			l, err := loaderOf(c, env)
			if err != nil {
				return err
			}
			return serve(l, env)
		},
	}, settingOptions(env))
}

// serve runs the master. Everything that can be refused is refused before
// anything starts.
func serve(l loader, env environment) error {
	load := func() (config.Config, error) {
		resolved, err := l.load()
		return resolved.Config, err
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	outlet, err := master.NewOutlet(cfg.LogFile, env.stderr)
	if err != nil {
		return err
	}
	defer outlet.Close()
	log := newLogger(cfg, outlet)
	code, err := master.Run(master.Options{
		Config: cfg,
		Load:   load,
		Log:    log,
		Reopen: outlet.Reopen,
		Banner: func(s master.Serving) {
			log.SetLevel(levelOf(cfg))
			env.welcome(outlet, log, cfg, s)
		},
		Program: []string{process.Self, worker.Arg},
		App:     env.name,
		Environ: env.environ,
		Version: version(),
	})
	var nothing *master.NeverServedError
	if errors.As(err, &nothing) && !onTerminal(cfg) {
		err = nil // the log's last lines say it, and they are for programs to read
	}
	if err != nil || code == 0 {
		return err
	}
	return &exitError{code: code}
}

func newLogger(cfg config.Config, outlet *master.Outlet) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(outlet)
	log.SetFormatter(formatterFor(cfg))
	log.SetLevel(levelOf(cfg))
	if onTerminal(cfg) && !log.IsLevelEnabled(logrus.DebugLevel) {
		// A person who starts the service wants three lines, and not each step of
		// the start, unless it goes wrong. The banner sets the level right.
		log.SetLevel(logrus.WarnLevel)
	}
	return log
}

// formatterFor shows a person the time of day, and everybody else the date, too.
func formatterFor(cfg config.Config) logrus.Formatter {
	switch {
	case !textual(cfg):
		return &jsonFormatter{logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano}}
	case onTerminal(cfg):
		return &colorFormatter{logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "15:04:05.000", ForceColors: true}}
	}
	return &logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "2006-01-02T15:04:05.000Z07:00", DisableColors: true}
}

func levelOf(cfg config.Config) logrus.Level {
	level, err := logrus.ParseLevel(cfg.LogLevel)
	if err != nil {
		return logrus.InfoLevel // Validate refuses what does not parse
	}
	return level
}

// textual tells whether the log is for people: text on a terminal, JSON elsewhere.
func textual(cfg config.Config) bool {
	if cfg.LogFormat != "" {
		return cfg.LogFormat == "text"
	}
	return onTerminal(cfg)
}

func onTerminal(cfg config.Config) bool {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return cfg.LogFile == "" && err == nil
}

// welcome says that the service is up: three lines for a person, else one entry.
func (e environment) welcome(terminal io.Writer, log *logrus.Logger, cfg config.Config, s master.Serving) {
	if !onTerminal(cfg) {
		log.WithFields(logrus.Fields{
			"component": "master", "addr": strings.Join(s.Addresses, " "), "workers": s.Workers,
			"program": s.Program, "control": s.Control, "pid": s.PID, "version": version(),
		}).Info("prefork serves")
		return
	}
	command, flags := e.commandName(os.Args[0]), masterFlagsFor(cfg)
	fmt.Fprintf(terminal, "prefork %s serves %s on %s with %s (pid %d)\n", version(), s.Program, e.urls(s, cfg), plural(s.Workers, "worker"), s.PID)
	fmt.Fprintf(terminal, "reload: kill -HUP %d, or: %s reload%s\n", s.PID, command, flags)
	fmt.Fprintf(terminal, "stop:   press ^C, or: %s stop%s\n", command, flags)
}

// commandName is how this program can be started again. "go run" deletes what
// it built as soon as that ends, so its path is no use to anybody.
func (e environment) commandName(arg0 string) string {
	switch {
	case !strings.Contains(arg0, "/go-build"):
		return arg0
	case e.serve != nil:
		return "go run ."
	}
	return "go run ./cmd/prefork"
}

// masterFlagsFor are the flags by which another command finds this master.
func masterFlagsFor(cfg config.Config) string {
	switch {
	case cfg.Control != "":
		return " --control " + cfg.Control
	case cfg.Name != config.Default().Name:
		return " --name " + cfg.Name
	}
	return ""
}

// urls shows the addresses as one can open them. What a program of somebody else
// speaks is not known here.
func (e environment) urls(s master.Serving, cfg config.Config) string {
	speaksHTTP := len(cfg.Command) == 0 && e.serve == nil && cfg.App != "echo"
	var shown []string
	scheme := "http://"
	if cfg.TLS() {
		scheme = "https://"
	}
	for _, address := range s.Addresses {
		if speaksHTTP && !strings.HasPrefix(address, "unix:") {
			address = scheme + address
		}
		shown = append(shown, address)
	}
	return strings.Join(shown, " ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
