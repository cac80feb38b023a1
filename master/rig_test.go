package master

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"prefork/internal/testproc"
	"prefork/master/config"
	"prefork/master/control"
	"prefork/master/process"
	realworker "prefork/worker"
)

const masterCommand = "be-master"

// noStartTakes is longer than a fake worker or program takes from its start to its
// first word, also under the race detector while both CPUs are busy.
const noStartTakes = 5 * time.Second

// orders is what a test's master is told: a file that it reads at its start and
// at each reload. The zero value of a field is what orders.config says.
type orders struct {
	Workers, Surge                          int
	StartTimeout, DrainTimeout, HangTimeout time.Duration
	Listen                                  []string // a free port of 127.0.0.1
	Control, PIDFile, LogFile, LogLevel     string
	Frozen                                  bool   // a reload does not read the orders again
	Bare                                    bool   // without the Options that need not be
	Refuse                                  string // why the configuration cannot be read
	Dir                                     string // what its workers do, see fakeworker_test.go
	Engine                                  string // of real workers; empty: they are fakes
	App, Queue                              string // of Default
	SiblingFDs                              bool
	Command                                 []string
	Environment                             map[string]string
	StopSignal                              string // of Default
	ReadyNotify                             bool
	ReadyAfter                              time.Duration
}

// config is quick where the defaults are patient.
func (o orders) config() (config.Config, error) {
	cfg := config.Default()
	cfg.Listen = nil
	for _, s := range strings.Fields(cmp.Or(strings.Join(o.Listen, " "), "127.0.0.1:0")) {
		address, err := config.ParseAddress(s)
		if err != nil {
			return cfg, err
		}
		cfg.Listen = append(cfg.Listen, address)
	}
	cfg.Workers, cfg.Control, cfg.PIDFile, cfg.LogFile = o.Workers, o.Control, o.PIDFile, o.LogFile
	cfg.Command, cfg.Environment = o.Command, o.Environment
	cfg.SiblingFDs = o.SiblingFDs
	cfg.StopSignal = cmp.Or(o.StopSignal, cfg.StopSignal)
	cfg.App, cfg.Queue = cmp.Or(o.App, cfg.App), cmp.Or(o.Queue, cfg.Queue)
	cfg.Engine, cfg.Identify = cmp.Or(o.Engine, cfg.Engine), o.Engine != ""
	if o.ReadyNotify || o.ReadyAfter != 0 {
		cfg.Ready = config.Ready{Notify: o.ReadyNotify, After: o.ReadyAfter}
	}
	cfg.LogFormat, cfg.LogLevel = "json", cmp.Or(o.LogLevel, "debug")
	if o.Surge != 0 {
		cfg.Surge = config.Surge{Count: o.Surge}
	}
	for _, d := range []struct {
		from time.Duration
		to   *time.Duration
	}{
		{o.StartTimeout, &cfg.StartTimeout}, {o.DrainTimeout, &cfg.DrainTimeout}, {o.HangTimeout, &cfg.HangTimeout},
	} {
		if d.from != 0 {
			*d.to = d.from
		}
	}
	if o.Refuse != "" {
		return cfg, errors.New(o.Refuse)
	}
	return cfg, nil
}

func (o orders) program() []string {
	if o.Engine != "" {
		return []string{process.Self, realworker.Arg}
	}
	return []string{process.Self, workerCommand, o.Dir}
}

// beMaster is the command's own way to a master, without its flags.
func beMaster(args []string) int {
	read := func() (orders, error) {
		var o orders
		text, err := os.ReadFile(args[0])
		if err == nil {
			err = json.Unmarshal(text, &o)
		}
		return o, err
	}
	o, err := read()
	cfg, cfgErr := o.config()
	outlet, outletErr := NewOutlet(o.LogFile, os.Stderr)
	if err := errors.Join(err, cfgErr, outletErr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer outlet.Close()
	log := logrus.New()
	log.SetOutput(outlet)
	log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	level, err := logrus.ParseLevel(cfg.LogLevel)
	if err != nil {
		level = logrus.DebugLevel
	}
	log.SetLevel(level)
	opts := Options{
		Config: cfg,
		Load: func() (config.Config, error) {
			log.WithField("component", "test").Info("the configuration is read again")
			if o.Frozen {
				return cfg, nil
			}
			again, err := read()
			if err != nil {
				return config.Config{}, err
			}
			return again.config()
		},
		Log: log, Program: o.program(), Environ: os.Environ(), Version: "test",
	}
	if !o.Bare {
		opts.Reopen = outlet.Reopen
		opts.Banner = func(s Serving) {
			log.WithField("component", "banner").Infof("%d workers serve on %s", s.Workers, strings.Join(s.Addresses, " "))
		}
	}
	code, err := Run(opts)
	if err != nil {
		log.WithField("component", "main").Error(err)
	}
	return code
}

// rig is a master in a process of its own, and what a test knows of it.
type rig struct {
	*testproc.Process
	orders orders
	path   string // of the orders
	run    string // folder of the control socket, the lock and the pid file
	log    *logbook
	client *control.Client
}

// newRig prepares a master; change its orders and write behaviours, then start.
func newRig(t testing.TB, workers int) *rig {
	t.Helper()
	r := &rig{run: testproc.SocketDir(t), orders: orders{Workers: workers, Dir: t.TempDir()}}
	r.orders.Control = filepath.Join(r.run, "control.sock")
	r.path = filepath.Join(r.orders.Dir, "orders.json")
	r.client = control.Dial(r.orders.Control)
	return r
}

// start starts the master. When the test ends it is told to stop, if it still
// runs, and must leave nothing behind.
func (r *rig) start(t testing.TB) {
	t.Helper()
	r.order(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.log = follow(t, reader)
	r.startWith(t, writer, testproc.Impersonate(t, masterCommand, r.path))
}

func (r *rig) startWith(t testing.TB, stderr *os.File, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = stderr
	r.Process = testproc.Start(t, cmd)
	if err := stderr.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(t) })
}

// order writes the orders down; the next reload finds them.
func (r *rig) order(t testing.TB) {
	t.Helper()
	text, err := json.Marshal(r.orders)
	if err != nil {
		t.Fatal(err)
	}
	mustReplace(t, r.path, string(text))
}

// end stops a master that still runs, and checks that it left nothing.
func (r *rig) end(t testing.TB) {
	if r.Exited() {
		r.mustLeaveNothing(t)
		return
	}
	r.Signal(t, syscall.SIGTERM)
	if got := r.AwaitExit(t).ExitCode(); got != 0 {
		t.Errorf("the master's exit code after SIGTERM is %d, want 0", got)
	}
	r.mustLeaveNothing(t)
}

// mustExit waits for the master's end and checks that it left nothing.
func (r *rig) mustExit(t testing.TB, code int) {
	t.Helper()
	if got := r.AwaitExit(t).ExitCode(); got != code {
		t.Errorf("the master's exit code is %d, want %d", got, code)
	}
	r.mustLeaveNothing(t)
}

func (r *rig) mustLeaveNothing(t testing.TB) {
	t.Helper()
	if left := r.Descendants(t); len(left) > 0 {
		t.Errorf("the master left processes behind: %v", left)
	}
	files, err := os.ReadDir(r.run)
	if err != nil {
		t.Error(err)
	}
	for _, file := range files {
		t.Errorf("the master left %s behind", file.Name())
	}
}

// behave says what the workers of a slot do from now on; "all" is every slot.
func (r *rig) behave(t testing.TB, slot any, what string) {
	t.Helper()
	mustReplace(t, filepath.Join(r.orders.Dir, fmt.Sprint(slot)), what)
}

// behaveOnce says what the next worker of a slot does, and only that one.
func (r *rig) behaveOnce(t testing.TB, slot int, what string) {
	t.Helper()
	mustReplace(t, filepath.Join(r.orders.Dir, strconv.Itoa(slot)+".once"), what)
}

// open opens a gate that workers wait for.
func (r *rig) open(t testing.TB, gate string) {
	t.Helper()
	mustReplace(t, filepath.Join(r.orders.Dir, gate), "")
}

// mustReplace writes a file so that a reader sees the old text or the new one.
func mustReplace(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) status(t testing.TB) control.Status {
	t.Helper()
	st, err := r.client.Status(context.Background())
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return st
}

// awaitStatus waits until the status is as wanted. A master that ends fails the
// test at once.
func (r *rig) awaitStatus(t testing.TB, what string, wanted func(control.Status) bool) (st control.Status) {
	t.Helper()
	testproc.Await(t, what, func() bool {
		var err error
		st, err = r.client.Status(context.Background())
		if errors.Is(err, control.ErrNoMaster) && !r.Exited() {
			return false // not there yet
		}
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		return wanted(st)
	})
	return st
}

// serving starts the master and waits until its first generation serves.
func (r *rig) serving(t testing.TB) control.Status {
	t.Helper()
	r.start(t)
	return r.awaitReady(t, r.orders.Workers)
}

// awaitReady waits until all is quiet: so many workers, all of them ready, and
// nothing under way.
func (r *rig) awaitReady(t testing.TB, workers int) control.Status {
	t.Helper()
	return r.awaitStatus(t, fmt.Sprintf("%d ready workers", workers), func(st control.Status) bool {
		return st.State == "serving" && len(st.Workers) == workers &&
			!slices.ContainsFunc(st.Workers, func(w control.WorkerStatus) bool { return w.State != "ready" })
	})
}

// do carries out a command as an operator does.
func (r *rig) do(t testing.TB, c control.Command) control.Answer {
	t.Helper()
	answer, err := r.client.Do(context.Background(), c)
	if err != nil {
		t.Fatalf("%s: %v", c.Verb, err)
	}
	return answer
}

// doLater is do beside the test.
func (r *rig) doLater(t testing.TB, c control.Command) <-chan control.Answer {
	answers := make(chan control.Answer, 1)
	go func() {
		answer, err := r.client.Do(context.Background(), c)
		if err != nil {
			t.Errorf("%s: %v", c.Verb, err)
		}
		answers <- answer
	}()
	return answers
}
