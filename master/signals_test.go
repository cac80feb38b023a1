package master

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/control"
	"prefork/master/supervise"
)

// TestSignalStorm ends in a clean state, and then in a stop.
func TestSignalStorm(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.orders.LogLevel = "warn" // refusals, and not each step
	r.serving(t)
	kinds := []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGTTOU, syscall.SIGWINCH, syscall.SIGUSR2}
	order := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		r.Signal(t, kinds[order.IntN(len(kinds))])
	}
	// Whatever came last: HUP brings workers back from drained, and a reload
	// waits for all that was asked for before it.
	r.status(t)
	if got := r.do(t, control.Command{Verb: control.Reload}); got.Result != control.ResultOK {
		t.Errorf("reload: %+v, want ok", got)
	}
	if got := r.do(t, control.Command{Verb: control.Scale, Workers: "2"}); got.Result != control.ResultOK {
		t.Errorf("scale: %+v, want ok", got)
	}
	mustServe(t, r.awaitReady(t, 2))
	if got, most := descriptors(t, r.PID()), descriptorsMost(2); got > most {
		t.Errorf("the master has %d descriptors, want %d at most", got, most)
	}
	if got := r.log.count("invariant broken, please report it", noSlot); got != 0 {
		t.Errorf("%d broken invariants", got)
	}
}

const stormCommand = "be-in-a-storm"

// beInAStorm lets signals of one kind pile up while nobody takes them, and then
// one of another kind, which must not be lost.
func beInAStorm([]string) int {
	seen := make(chan os.Signal, 1)
	signal.Notify(seen, syscall.SIGUSR1, syscall.SIGTERM)
	sigs := catchSignals()
	send := func(sig syscall.Signal) {
		must(unix.Kill(os.Getpid(), sig))
		<-seen // or the kernel would merge it with the next one
	}
	for range 4 * signalsMax {
		send(syscall.SIGUSR1)
	}
	send(syscall.SIGTERM)
	stop := make(chan struct{})
	events := make(chan supervise.Event)
	sigs.pass(func(f func()) { go f() }, func(ev supervise.Event) {
		select {
		case events <- ev:
		case <-stop:
		}
	}, stop)
	for range 5 * signalsMax {
		select {
		case ev := <-events:
			if got := ev.(supervise.SignalReceived).Signal; got == supervise.SIGTERM {
				fmt.Println("SIGTERM has come")
				close(stop)
				return 0
			}
		case <-time.After(10 * time.Second):
			fmt.Println("SIGTERM is lost")
			return 1
		}
	}
	return 1
}

func TestStormDoesNotDrownTheStop(t *testing.T) {
	t.Parallel()
	got := testproc.Run(t, testproc.Impersonate(t, stormCommand))
	if got.Code != 0 || !strings.Contains(got.Stdout, "SIGTERM has come") {
		t.Errorf("%s", got)
	}
}

// TestWinchWithoutATerminal: the sockets stay, and who connects waits.
func TestWinchWithoutATerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	before := r.serving(t)
	r.Signal(t, syscall.SIGWINCH)
	r.awaitStatus(t, "no workers", func(st control.Status) bool { return st.State == "drained" && len(st.Workers) == 0 })
	answer := askLater(t, before.Listen[0].Address)
	r.Signal(t, syscall.SIGTTIN)
	after := r.awaitReady(t, 2)
	if got := <-answer; !strings.HasPrefix(got, "slot ") {
		t.Errorf("who connected meanwhile got %q, want to be served", got)
	}
	mustServe(t, after)
}

// TestSignalsDuringTheGoodbye: nothing cuts it short and leaves files.
func TestSignalsDuringTheGoodbye(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.serving(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !r.Exited() { // it may have ended by now
			_ = syscall.Kill(r.PID(), syscall.SIGTERM)
		}
	}()
	r.mustExit(t, 0)
	<-done
}

// TestBareMaster has neither log files to reopen nor a banner to show.
func TestBareMaster(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.orders.Bare = true
	r.serving(t)
	if got := r.do(t, control.Command{Verb: control.Reopen}); got.Result != control.ResultOK {
		t.Errorf("reopen: %+v, want ok", got)
	}
	r.awaitReady(t, 1)
}

// TestNohup: HUP reloads, always.
func TestNohup(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.startNohup(t, nil)
	r.awaitReady(t, 1)
	r.Signal(t, syscall.SIGHUP)
	r.awaitStatus(t, "the next generation", func(st control.Status) bool { return st.Generation == 2 && st.State == "serving" })
}

// TestNohupOnATerminal: the window may be resized, and ^C is the first of two.
func TestNohupOnATerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	var terminal *testproc.Terminal
	r.startNohup(t, &terminal)
	before := r.awaitReady(t, 1)
	terminal.Resize(t, 50, 100)
	r.do(t, control.Command{Verb: control.Reload}) // its word comes AFTER the window's
	if after := r.awaitReady(t, 1); after.Generation != before.Generation+1 {
		t.Errorf("generation %d follows %d", after.Generation, before.Generation)
	}
	for _, msg := range []string{"all workers drain, the sockets stay open", "drain of all workers refused"} {
		if got := r.log.count(msg, noSlot); got != 0 {
			t.Errorf("a window was resized, and the log says %q", msg)
		}
	}
	terminal.Type(t, "\x03")
	r.mustExit(t, 0)
	r.log.awaitThat(t, "an orderly end", false, func(e entry) bool {
		return e.is("worker exited", 0) && e.number("generation") == 2 && e.text("reason") == "exit code 0"
	})
}

// TestNohupOutlivesItsTerminal: its end is a reload at most, never a stop.
func TestNohupOutlivesItsTerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	var terminal *testproc.Terminal
	r.startNohup(t, &terminal)
	r.awaitReady(t, 1)
	terminal.HangUp(t)
	r.Signal(t, syscall.SIGHUP)
	r.awaitStatus(t, "the next generation", func(st control.Status) bool { return st.Generation >= 2 && st.State == "serving" })
}

// startNohup starts the master as nohup(1) does, on a terminal if one is wanted.
func (r *rig) startNohup(t testing.TB, terminal **testproc.Terminal) {
	t.Helper()
	r.order(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.log = follow(t, reader)
	argv := testproc.ImpersonateArgv(t, masterCommand, r.path)
	cmd := exec.Command("sh", append([]string{"-c", `trap "" HUP; exec "$@" 2>&3 3>&-`, "sh"}, argv...)...)
	cmd.ExtraFiles = []*os.File{writer}
	if terminal != nil {
		*terminal = testproc.StartOnTerminal(t, cmd)
		r.Process = (*terminal).Process
	} else {
		r.Process = testproc.Start(t, cmd)
	}
	_ = writer.Close() // the master has its own
	t.Cleanup(func() { r.end(t) })
}
