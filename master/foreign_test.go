package master

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/internal/testproc"
	"prefork/master/config"
	"prefork/master/control"
)

// newForeignRig is a rig whose workers are programs that know nothing of prefork.
func newForeignRig(t testing.TB, workers int) *rig {
	t.Helper()
	r := newRig(t, workers)
	r.orders.Command = append(testproc.ImpersonateArgv(t, programCommand), r.orders.Dir)
	return r
}

// askOnce connects once and returns the answer.
func (r *rig) askOnce(t testing.TB, st control.Status) string {
	t.Helper()
	answer, err := r.tryOnce(t, st)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// tryOnce is askOnce where a program may have spoilt the connection.
func (r *rig) tryOnce(t testing.TB, st control.Status) (string, error) {
	t.Helper()
	c, err := net.DialTimeout("tcp", st.Listen[0].Address, testproc.Patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(testproc.Patience)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

func pids(st control.Status) (list []int) {
	for _, w := range st.Workers {
		list = append(list, w.PID)
	}
	return list
}

func TestForeignReadyByItsWord(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 2)
	r.orders.ReadyNotify = true
	st := r.serving(t)
	if got := r.askOnce(t, st); !strings.HasPrefix(got, "slot ") {
		t.Errorf("answer %q", got)
	}
	before := pids(st)
	if a := r.do(t, control.Command{Verb: control.Reload}); a.Result != "ok" {
		t.Fatalf("reload: %+v", a)
	}
	st = r.awaitStatus(t, "the new generation alone", func(st control.Status) bool {
		return st.Generation == 2 && len(st.Workers) == 2
	})
	for _, pid := range pids(st) {
		if slices.Contains(before, pid) {
			t.Errorf("pid %d is still there", pid)
		}
	}
}

func TestForeignReadyByBeingAlive(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1)
	r.orders.ReadyAfter = 300 * time.Millisecond
	r.behave(t, "all", "silent")
	r.serving(t)
}

func TestForeignStartsWithWhatIsPromised(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1)
	r.orders.ReadyNotify = true
	r.orders.Environment = map[string]string{"GREETING": "good morning"}
	r.behave(t, "all", "environment")
	st := r.serving(t)
	for _, want := range []string{
		`LISTEN_FDS is "1"`, `LISTEN_FDNAMES is "0"`, `WATCHDOG_USEC is "30000000"`, `PREFORK_SLOT is "0"`, `PREFORK_GENERATION is "1"`,
		`GREETING is "good morning"`, `PREFORK_IPC is "4"`, `PREFORK_SIBLING_FDS is ""`, `PIDs are mine: true`, `standard input is "", <nil>`, `accept blocks: true`,
	} {
		r.log.awaitOutput(t, want)
	}
	r.askOnce(t, st)
}

// TestForeignStopSignal: it is told to leave as it wants to be.
func TestForeignStopSignal(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1)
	r.orders.ReadyNotify, r.orders.StopSignal, r.orders.DrainTimeout = true, "USR1", 5*time.Second
	r.behave(t, "all", "deaf-to-term")
	r.serving(t)
	r.Signal(t, syscall.SIGTERM)
	r.mustExit(t, 0)
	if !r.log.has("worker exited", "exit code 0") {
		t.Error("the worker was not told to leave by SIGUSR1")
	}
}

// TestForeignReleaseIsRolledBack: whatever is wrong with it, the old generation
// serves on, in the same processes, and the caller hears why.
func TestForeignReleaseIsRolledBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, behaviour string
		command         string // in place of the program; empty: the program
		want            string
	}{
		{name: "dies", behaviour: "die 3 ModuleNotFoundError: shop", want: "exit code 3 before it was ready\nModuleNotFoundError: shop"},
		{name: "hangs", behaviour: "sleep", want: "it has not said READY=1 to its NOTIFY_SOCKET"},
		{name: "goes into the background", behaviour: "background", want: "switch off its option to go into the background"},
		{name: "spoils accept for others", behaviour: "spoil-nonblock 7", want: "exit code 7 before it was ready"},
		{name: "gives up", behaviour: "tell WATCHDOG=trigger", want: "it said WATCHDOG=trigger"},
		{name: "is deleted", command: "/nonexistent/shop", want: "cannot run /nonexistent/shop: no such file"},
		{name: "is not executable", command: "README", want: "not executable (mode 0644): chmod +x it"},
		{name: "is for another machine", command: "foreign.elf", want: "built for "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newForeignRig(t, 2)
			r.orders.ReadyNotify = true
			before := r.serving(t)
			if test.behaviour == "sleep" {
				r.orders.StartTimeout = time.Second
			}
			r.behave(t, "all", test.behaviour)
			if test.behaviour == "" {
				r.orders.Command = []string{brokenProgram(t, test.command)}
			}
			r.order(t)
			a := r.do(t, control.Command{Verb: control.Reload})
			if a.Result != "rolled_back" || !strings.Contains(a.Error, test.want) {
				t.Errorf("the answer is %q: %s\nwant rolled_back with %q", a.Result, a.Error, test.want)
			}
			after := r.awaitReady(t, 2)
			if !slices.Equal(pids(before), pids(after)) || after.Generation != 1 {
				t.Errorf("processes %v of generation %d serve, not %v", pids(after), after.Generation, pids(before))
			}
			if !strings.Contains(after.LastReload.Error, test.want) {
				t.Errorf("the status says %q", after.LastReload.Error)
			}
			r.askOnce(t, after)
		})
	}
}

// brokenProgram makes a file that cannot be run.
func brokenProgram(t testing.TB, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	path := filepath.Join(t.TempDir(), name)
	// An ELF header for s390x, big-endian: see elf(5).
	text, mode := append([]byte("\x7fELF\x02\x02\x01"), make([]byte, 57)...), os.FileMode(0o755)
	text[17], text[19] = 2, 22
	if name == "README" {
		text, mode = []byte("#!/bin/sh\n"), 0o644
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestForeignWatchdog(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 2)
	r.orders.ReadyNotify, r.orders.HangTimeout = true, 3*time.Second
	r.behaveOnce(t, 1, "watched")
	st := r.serving(t)
	pid := st.Workers[1].PID
	r.log.await(t, "worker is aborting", 1).mustSay(t, "reason", "it has not said WATCHDOG=1 for hang-timeout 3s")
	r.awaitStatus(t, "a successor in slot 1", func(st control.Status) bool {
		return len(st.Workers) == 2 && st.Workers[1].PID != pid && st.Workers[1].State == "ready"
	})
	if got := r.status(t).Workers[0].Restarts; got != 0 {
		t.Errorf("the other worker, who never asked to be watched, was restarted %d times", got)
	}
}

func TestForeignMayAskForTime(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1)
	r.orders.ReadyNotify, r.orders.StartTimeout = true, noStartTakes
	r.behave(t, "all", "tell EXTEND_TIMEOUT_USEC=20000000|STATUS=warm-up")
	r.start(t)
	r.awaitStatus(t, "what it says of itself", func(st control.Status) bool {
		return len(st.Workers) == 1 && st.Workers[0].Status == "warm-up"
	})
	st := r.awaitStatus(t, "more age than start-timeout allows", func(st control.Status) bool {
		return st.Workers[0].AgeSeconds > (noStartTakes + time.Second/2).Seconds()
	})
	if got := st.Workers[0].State; got != "starting" {
		t.Errorf("its state is %q", got)
	}
}

func TestForeignLeavesByItself(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1)
	r.orders.ReadyNotify = true
	r.behaveOnce(t, 0, "retire")
	r.start(t)
	r.log.await(t, "worker is draining", 0).mustSay(t, "reason", "leaves of its own accord: it said STOPPING=1")
	r.awaitStatus(t, "a successor", func(st control.Status) bool {
		return len(st.Workers) == 1 && st.Workers[0].Restarts == 1 && st.Workers[0].State == "ready"
	})
}

// TestForeignPartsGetTheirTime: the program ends at the signal, a part of it
// answers 200 ms later.
func TestForeignPartsGetTheirTime(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1)
	r.orders.ReadyNotify = true
	r.behave(t, "all", "fork late")
	st := r.serving(t)
	answer := make(chan string)
	go func() { answer <- r.askOnce(t, st) }()
	testproc.Await(t, "the part to hold the connection", func() bool { return r.status(t).Workers[0].AcceptQueue == 0 && connected(t, st) })
	if a := r.do(t, control.Command{Verb: control.Stop}); a.Result != "ok" {
		t.Errorf("stop: %+v", a)
	}
	if got := <-answer; got != "late, and yet answered\n" {
		t.Errorf("answer %q", got)
	}
	r.mustExit(t, 0)
}

// connected tells whether somebody has a connection to the service.
func connected(t testing.TB, st control.Status) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	address, err := net.ResolveTCPAddr("tcp", st.Listen[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(table), fmt.Sprintf("0100007F:%04X 0100007F:", address.Port))
}

// TestForeignStrays: who went into the background is found and ended, although
// it has left the process group.
func TestForeignStrays(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1)
	r.orders.ReadyNotify = true
	r.behave(t, "all", "background")
	r.start(t)
	r.mustExit(t, 1) // the rig looks for processes that are left
	r.log.await(t, "processes that the worker had started are killed", 0)
}

// TestForeignMisbehaves: one clear line, and the others serve.
func TestForeignMisbehaves(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, behaviour, message, reason string }{
		{"wants another main process", "tell READY=1 MAINPID=1", "worker's notification has no effect", "MAINPID"},
		{"speaks for another", "tell-neighbour READY=1", "worker's notification has no effect", "rejected"},
		{"talks nonsense", "tell READY=1 what?", "worker's notification has no effect", "rejected"},
		{"closes its socket", "spoil-close", "worker broke the protocol", "it has closed its listening socket"},
		{"shuts its socket down", "spoil-shutdown", "listening socket was shut down", "listens again"},
		{"makes its socket non-blocking and dies", "spoil-nonblock 7", "worker exited", "exit code 7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newForeignRig(t, 2)
			r.orders.ReadyNotify = true
			st := r.serving(t)
			r.behaveOnce(t, 1, test.behaviour)
			r.killSlot(t, st, 1)
			testproc.Await(t, "a line about it", func() bool {
				r.tryOnce(t, st) // it also waits in the queue that nobody serves
				return r.log.has(test.message, test.reason)
			})
			r.awaitReady(t, 2)
			for range 20 {
				if got := r.askOnce(t, st); !strings.HasPrefix(got, "slot ") {
					t.Errorf("answer %q", got)
				}
			}
		})
	}
}

// TestForeignFloods: 100 MB on its standard error delay nobody.
func TestForeignFloods(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 2)
	r.orders.ReadyNotify = true
	r.behave(t, 1, "flood 100000000")
	st := r.serving(t)
	asked := 0
	r.log.awaitMeanwhile(t, printedEnd, func() {
		r.askOnce(t, st)
		asked++
	})
	t.Logf("%d answers meanwhile", asked)
	if got := pids(r.status(t)); !slices.Equal(got, pids(st)) {
		t.Errorf("processes %v serve, before the flood it was %v", got, pids(st))
	}
}

func TestForeignThatIgnoresItsSignalIsKilled(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 2)
	r.orders.ReadyNotify, r.orders.DrainTimeout = true, time.Second
	r.behave(t, "all", "deaf")
	st := r.serving(t)
	r.behave(t, "all", "good")
	if a := r.do(t, control.Command{Verb: control.Reload}); a.Result != "ok" {
		t.Fatalf("reload: %+v", a)
	}
	for slot := range 2 {
		r.log.await(t, "worker is killed", slot).mustSay(t, "reason", "still busy when its drain-timeout ended")
	}
	r.awaitReady(t, 2)
	r.askOnce(t, st)
}

// TestForeignFolderIsRemade: who tidies up has removed the folder of the
// notification sockets.
func TestForeignFolderIsRemade(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1)
	r.orders.ReadyNotify = true
	r.serving(t)
	folder := config.NotifyFolder(r.orders.Control, config.Default().Name)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if a := r.do(t, control.Command{Verb: control.Reload}); a.Result != "ok" {
		t.Errorf("reload: %+v", a)
	}
}

// TestForeignThatSpokeHasToSpeakAgain: with auto, a release that only lives is
// broken when the one before it said READY=1.
func TestForeignThatSpokeHasToSpeakAgain(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 1) // ready as by default: auto
	r.behave(t, "all", "silent")
	r.serving(t)
	if a := r.do(t, control.Command{Verb: control.Reload}); a.Result != "ok" {
		t.Errorf("one that has never spoken: %+v", a)
	}
	r.behave(t, "all", "good")
	if a := r.do(t, control.Command{Verb: control.Reload}); a.Result != "ok" {
		t.Errorf("one that speaks: %+v", a)
	}
	r.behave(t, "all", "silent")
	r.orders.StartTimeout = 2 * time.Second
	r.order(t)
	a := r.do(t, control.Command{Verb: control.Reload})
	if a.Result != "rolled_back" || !strings.Contains(a.Error, "it has not said READY=1") {
		t.Errorf("one that does not speak any more: %+v", a)
	}
}

// killSlot kills the worker of a slot and waits for its successor.
func (r *rig) killSlot(t testing.TB, st control.Status, slot int) {
	t.Helper()
	pid := st.Workers[slot].PID
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	r.awaitStatus(t, "a successor", func(st control.Status) bool {
		return len(st.Workers) > slot && st.Workers[slot].PID != pid
	})
}
