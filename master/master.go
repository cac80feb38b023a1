package master

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"prefork/ipc"
	"prefork/master/config"
	"prefork/master/control"
	"prefork/master/listen"
	"prefork/master/process"
	"prefork/master/supervise"
)

// Options is what a master is started with. Every field but Reopen, Banner and App
// is required.
type Options struct {
	Config config.Config                 // valid
	Load   func() (config.Config, error) // resolves the configuration again, for a reload
	Log    *logrus.Logger                // its Out must not block: see Outlet
	Reopen func() *Reopening             // reopens the log files; nil: there are none
	Banner func(Serving)                 // called once, when the first generation serves
	// Program is the built-in worker's argument vector, beginning with
	// process.Self.
	Program []string
	// App is what people call what such a worker does; empty: as the configuration does.
	App     string
	Environ []string // the master's own environment; workers get what is theirs of it
	Version string
}

// Serving is what can be said when the first generation serves.
type Serving struct {
	Name      string
	PID       int
	Addresses []string // resolved: no port 0
	Workers   int
	Program   string // the built-in app, or the COMMAND
	Control   string // path of the control socket
}

// goodbyeTimeout bounds how long a stopping master waits for operators who
// still read their answer, and for children that do not die of SIGKILL.
const goodbyeTimeout = 2 * time.Second

// master is the shell: what the loop owns, and the way in for everybody else.
type master struct {
	opts    Options
	builtin []string // argument vector of our own workers
	environ []string
	began   time.Time
	control string // path
	lock    *control.Lock

	// The loop's own; others ask for it through loop.tasks.
	loop         *loop
	sockets      *sockets
	bell         *ipc.Bell         // of all workers of our own
	trouble      string            // what could not be done with the sockets; "": nothing
	postponed    []supervise.Watch // for want of resources
	emptying     []emptying        // what is looked at until it is empty
	looked       look              // the last one at the queues
	found        []supervise.Event // beside what was asked for; see handled
	children     map[supervise.WorkerID]*child
	configs      map[uint64]config.Config // by revision
	tickets      tickets                  // of the same revisions
	speaks       map[string]bool          // commands whose workers have said that they are ready
	greets       map[string]bool          // commands whose workers have said hello
	lastRevision uint64
	reports      reports
	bannerShown  bool

	journal    journal
	callers    callers
	reopening  atomic.Pointer[Reopening] // the last one that began; nil: none yet
	newer      atomic.Bool               // the last reload started other code than stands on disk
	outputs    outputs
	goroutines sync.WaitGroup
	ended      chan struct{} // closed when the loop has ended
}

// NeverServedError says that the first generation never was ready. The log has
// said so, too.
type NeverServedError struct {
	Reason string // with the worker's last words, which may be several lines
}

func (e *NeverServedError) Error() string { return "nothing serves: " + e.Reason }

// Run starts a master and returns when it has stopped, with the exit code of
// the program. The error says why nothing could be started, or that nothing ever
// served (*NeverServedError); then nothing is left behind.
func Run(opts Options) (code int, err error) {
	sigs := catchSignals()
	if opts.Config, err = resolve(opts.Config); err != nil {
		return 1, err
	}
	m := newMaster(opts)
	undo, err := m.claim()
	defer undo()
	if err != nil {
		return 1, err
	}
	if err := m.prepare(); err != nil {
		return 1, err
	}
	server, err := control.Serve(control.Config{Path: m.control, Lock: m.lock, Backend: m, Report: m.journal.report})
	if err != nil {
		return 1, errors.Join(err, m.sockets.close(), m.bell.Close())
	}
	sigs.pass(m.goroutines.Go, m.post, m.ended)
	end := m.loop.run()
	m.goodbye(server)
	if end.Reason != "" {
		return end.Code, &NeverServedError{Reason: end.Reason}
	}
	return end.Code, nil
}

func newMaster(opts Options) *master {
	m := &master{
		opts: opts, builtin: opts.Program, environ: process.Inheritable(opts.Environ), began: time.Now(),
		control:  controlPath(opts.Config),
		children: map[supervise.WorkerID]*child{}, configs: map[uint64]config.Config{}, tickets: tickets{}, speaks: map[string]bool{}, greets: map[string]bool{},
		journal: journal{log: opts.Log, hub: control.NewHub()},
		callers: callers{waiting: map[supervise.Caller]caller{}},
		outputs: outputs{open: map[io.Closer]struct{}{}},
		ended:   make(chan struct{}), reports: reports{begun: map[uint64]stock{}},
	}
	m.loop = &loop{
		effects: m, events: make(chan supervise.Event, eventsMax), tasks: make(chan func()),
		now:   func() supervise.Time { return supervise.Time(ipc.Monotonic()) },
		check: m.checkInvariants,
	}
	return m
}

// resolve replaces what depends on the machine: auto is as many workers as CPUs.
func resolve(cfg config.Config) (config.Config, error) {
	if cfg.Workers == 0 {
		cfg.Workers = min(usableCPUs(), supervise.SlotsMax)
	}
	return cfg, cfg.Validate()
}

func controlPath(cfg config.Config) string {
	if cfg.Control != "" {
		return cfg.Control
	}
	return config.ControlPath(cfg.Name, os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR"))
}

// claim makes this process the one master of its name: the lock, then the pid
// file. Undo gives back whatever was claimed, also after an error.
func (m *master) claim() (undo func(), err error) {
	var steps []func()
	undo = func() {
		for i := len(steps) - 1; i >= 0; i-- {
			steps[i]()
		}
	}
	lock, err := control.TakeLock(config.LockPath(m.control, m.opts.Config.Name))
	if err != nil {
		return undo, err
	}
	m.lock = lock
	steps = append(steps, func() { _ = lock.Close() }) // the process ends: the kernel gives it back in any case
	if path := m.opts.Config.PIDFile; path != "" {
		if err := writePIDFile(path); err != nil {
			return undo, err
		}
		steps = append(steps, func() { removePIDFile(path) })
	}
	steps = append(steps, func() { _ = os.RemoveAll(m.notifyFolder()) }) // empty, unless somebody put something there
	return undo, m.makeNotifyFolder()
}

const notifyFolderMode = 0o700

// notifyFolder holds the notification sockets of workers that are not our own.
func (m *master) notifyFolder() string {
	return config.NotifyFolder(m.control, m.opts.Config.Name)
}

// notifyPath is the worker's own, and no path of a worker whose master has died:
// by it a worker's processes are known (package process).
func (m *master) notifyPath(id supervise.WorkerID) string {
	return filepath.Join(m.notifyFolder(), fmt.Sprintf("%d.%d.%x", id.Slot, id.Incarnation, m.began.UnixMilli()))
}

// makeNotifyFolder begins with an empty folder: what a killed master has left
// there is nobody's.
func (m *master) makeNotifyFolder() error {
	folder := m.notifyFolder()
	err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, notifyFolderMode))
	if err != nil {
		return fmt.Errorf("make folder for the workers' notifications: %w", err)
	}
	return nil
}

// prepare opens the sockets and makes the machine. After an error nothing of
// it is left.
func (m *master) prepare() error {
	inherited, err := listen.Inherit(m.opts.Environ, os.Getpid())
	if err != nil {
		return err
	}
	if m.bell, err = ipc.NewBell(); err != nil {
		return errors.Join(fmt.Errorf("make the workers' bell: %w", err), inherited.Close())
	}
	target := m.keepConfig(m.opts.Config)
	m.sockets = newSockets(inherited)
	err = m.sockets.grow(target.Revision, m.opts.Config, target.Slots)
	if err == nil {
		m.loop.machine, err = supervise.New(supervise.Config{Target: target, Seed: uint64(ipc.Monotonic())})
	}
	if err != nil {
		return errors.Join(err, m.sockets.close(), m.bell.Close())
	}
	if unused := m.sockets.unused(); len(unused) > 0 {
		m.journal.note(supervise.Note{
			Level: supervise.Warn, Text: "sockets of systemd are not used, and who connects there waits",
			Reason: fmt.Sprintf("no address names them: add %s, or stop their .socket units", strings.Join(unused, ", ")),
		})
	}
	return nil
}

// post brings an event to the loop. Once that has ended, nobody wants it.
func (m *master) post(ev supervise.Event) {
	select {
	case m.loop.events <- ev:
	case <-m.ended:
	}
}

// goodbye ends everything that the loop has not ended, in an order that lets
// every caller read its answer.
func (m *master) goodbye(server *control.Server) {
	close(m.ended)
	m.blame(m.sockets.close())
	m.journal.hub.Close()
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	_ = server.Shutdown(ctx) // who has not read by now will not
	m.waitForGoroutines(ctx)
	_ = m.bell.Close() // the process ends; AFTER the last welcome
}

// waitForGoroutines gives the last output of the workers its time. What is open
// then is held by processes that have outlived their workers, and ends here.
func (m *master) waitForGoroutines(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		m.goroutines.Wait()
		close(done)
	}()
	patience := time.NewTimer(wordsTimeout)
	defer patience.Stop()
	select {
	case <-done:
		return
	case <-patience.C:
		m.outputs.closeAll()
	}
	select {
	case <-done:
	case <-ctx.Done(): // a child in uninterruptible sleep; the machine has noted it
	}
}

// checkInvariants notes a broken invariant, and the master serves on: a wrong
// decision is no reason to take everybody down.
func (m *master) checkInvariants(machine *supervise.Machine) {
	if err := machine.Check(); err != nil {
		m.journal.note(supervise.Note{Level: supervise.Error, Text: "invariant broken, please report it", Reason: err.Error(), Words: string(machine.Snapshot())})
	}
}

func (m *master) serving() Serving {
	cfg := m.opts.Config
	return Serving{
		Name: cfg.Name, PID: os.Getpid(), Addresses: m.sockets.addresses(),
		Workers: m.machineStatus().Slots, Program: m.programName(cfg), Control: m.control,
	}
}

// programName is what people call the workers' program.
func (m *master) programName(cfg config.Config) string {
	if len(cfg.Command) > 0 {
		return strings.Join(cfg.Command, " ")
	}
	return cmp.Or(m.opts.App, cfg.App)
}

// writePIDFile writes the file at once under its name: it is information only,
// the lock is what keeps a second master out.
func writePIDFile(path string) error {
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("write pid file: %w: choose another path with --pid-file, or leave it out", err)
	}
	return nil
}

// removePIDFile removes the file if it still speaks of this process.
func removePIDFile(path string) {
	b, err := os.ReadFile(path)
	if err == nil && string(b) == strconv.Itoa(os.Getpid())+"\n" {
		_ = os.Remove(path) // information only
	}
}
