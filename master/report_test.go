package master

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/control"
	"prefork/master/listen"
	"prefork/master/supervise"
)

// newReportRig is a master with real workers.
func newReportRig(t testing.TB, workers int) *rig {
	t.Helper()
	r := newRig(t, workers)
	r.orders.Engine = "reactor"
	return r
}

// mustHold opens connections on which half a request was sent, too much of it to be
// handed over, and waits until the workers have them.
func (r *rig) mustHold(t testing.TB, address string, n int) (held []net.Conn) {
	t.Helper()
	for range n {
		c, err := dial(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nha")
		held = append(held, c)
	}
	r.awaitStatus(t, "the connections to be held", func(st control.Status) bool {
		open := uint64(0)
		for _, w := range st.Workers {
			open += w.Connections
		}
		return open == uint64(n)
	})
	return held
}

// finish sends the other half of the request and reads the answer.
func finish(t testing.TB, c net.Conn) {
	t.Helper()
	fmt.Fprint(c, "lf")
	if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
		t.Errorf("got %q, %v", answer, err)
	}
}

// TestCrashIsReported: what a killed worker had open is cut, and the line says so,
// once its slot is served again. The log, the events and the status agree.
func TestCrashIsReported(t *testing.T) {
	t.Parallel()
	r := newReportRig(t, 2)
	st := r.serving(t)
	events, err := r.client.Events(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	r.mustHold(t, st.Listen[0].Address, 6)
	st = r.status(t)
	mustKill(t, st.Workers[0])
	lost := st.Workers[0].Connections
	if lost == 0 {
		lost = st.Workers[1].Connections
		mustKill(t, st.Workers[1])
	}
	line := r.log.await(t, "crash: connections were lost", noSlot)
	line.mustSay(t, "level", "warning")
	line.mustSay(t, "reason", fmt.Sprintf("0 connections handed over, %d cut, 0 dropped", lost))
	if got := line.number("cut"); got != int(lost) {
		t.Errorf("the line says that %d are cut, want %d: %v", got, lost, line)
	}
	got := r.status(t).LastChange
	if got == nil || got.Cause != "crash" || got.Cut != lost || got.Workers != 1 || !got.Final || !got.Lost() {
		t.Errorf("the last change is %+v, want %d cut", got, lost)
	}
	for {
		e, err := events.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if e.Message == "crash: connections were lost" {
			if e.Level != "warning" || e.Fields["cut"] != float64(lost) {
				t.Errorf("the event is %+v, want %d cut", e, lost)
			}
			return
		}
	}
}

// TestReloadAnswersBeforeTheLastHasGone: it waits for a second, and what comes later is
// told by log and status.
func TestReloadAnswersBeforeTheLastHasGone(t *testing.T) {
	t.Parallel()
	r := newReportRig(t, 1)
	st := r.serving(t)
	c := r.mustHold(t, st.Listen[0].Address, 1)[0]
	began := time.Now()
	a := r.do(t, control.Command{Verb: control.Reload})
	took := time.Since(began)
	if a.Result != control.ResultOK || a.Change == nil || a.Change.Cause != "reload" || a.Change.Final || a.Change.Draining != 1 || a.Change.Workers != 0 {
		t.Fatalf("the answer is %+v with %+v, want a worker that drains", a, a.Change)
	}
	if waited := took - time.Duration(a.Seconds*float64(time.Second)); waited < 900*time.Millisecond || waited > 5*time.Second {
		t.Errorf("it took %v, and the reload %.2fs: it waits for a second", took, a.Seconds)
	}
	if got := r.status(t).LastReload; got.Change == nil || got.Change.Draining != 1 {
		t.Errorf("while it drains, the last reload is %+v with %+v", got, got.Change)
	}
	finish(t, c)
	r.log.await(t, "reload: nothing was lost", noSlot).mustSay(t, "level", "info")
	for _, got := range []*control.ChangeReport{r.status(t).LastReload.Change, r.status(t).LastChange} {
		if got == nil || got.Cause != "reload" || !got.Final || got.Draining != 0 || got.Workers != 1 || got.Lost() || got.Unknown != 0 {
			t.Errorf("afterwards the report is %+v", got)
		}
	}
}

// TestReloadWaitsForItsReport: who holds nothing has gone at once, and the answer is
// complete. A foreign program's connections are not known.
func TestReloadWaitsForItsReport(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		rig     func(testing.TB, int) *rig
		unknown int
		says    string
	}{
		{"ours", newReportRig, 0, "reload: nothing was lost"},
		{"foreign", newForeignRig, 2, "reload: no loss is known"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := test.rig(t, 2)
			r.serving(t)
			a := r.do(t, control.Command{Verb: control.Reload})
			if c := a.Change; c == nil || !c.Final || c.Workers != 2 || c.Unknown != test.unknown || c.Lost() || !strings.HasPrefix(c.Text, test.says) {
				t.Errorf("the answer is %+v with %+v", a, a.Change)
			}
			r.log.await(t, test.says, noSlot)
		})
	}
}

// TestReportCountsWhatWorkersCount since they were told to leave, and what they had
// counted before is nobody's. A worker that lies makes no number overflow.
func TestReportCountsWhatWorkersCount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		first, second string
		want          string
	}{
		{"count 3 0 0", "count 60 4 0", "63 connections handed over, 4 finished, 0 cut, 0 dropped"},
		{"count 3 1 2", "count 0 0 1", "3 connections handed over, 1 finished, 3 cut, 0 dropped"},
		{"count 9223372036854775807 0 0", "count 9223372036854775807 0 0", "8589934592 connections handed over, 0 cut, 0 dropped"},
	} {
		t.Run(test.first, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.behaveOnce(t, 0, test.first)
			r.behaveOnce(t, 1, test.second)
			r.serving(t)
			for slot := range 2 {
				r.log.awaitThat(t, "counted", true, func(e entry) bool { return e.text("msg") == "counted" && e.number("slot") == slot })
			}
			a := r.do(t, control.Command{Verb: control.Reload})
			if c := a.Change; c == nil || !c.Final || c.Counts() != test.want {
				t.Errorf("the answer is %+v with %+v, want %q", a, a.Change, test.want)
			}
		})
	}
}

// TestHelpedCountsWhileItLasts: what was helped before is not a report's, and what
// workers have helped that have gone meanwhile is.
func TestHelpedCountsWhileItLasts(t *testing.T) {
	t.Parallel()
	s := newShell(t, 1, listeningApp(t, "127.0.0.1:0"))
	stays, goes := &counting{}, &counting{}
	id := supervise.WorkerID{Incarnation: 7}
	s.children[supervise.WorkerID{}], s.children[id] = &child{talk: stays}, &child{talk: goes}
	stays.done.Helped, goes.done.Helped = 100, 100
	s.perform(supervise.OpenAccount{Number: 1})
	stays.done.Helped, goes.done.Helped = 102, 103
	s.reports.gone(goes.done)
	delete(s.children, id)
	s.perform(supervise.OpenAccount{Number: 2})
	stays.done.Helped++
	s.perform(supervise.CloseAccount{Account: supervise.Account{Number: 1, Cause: "reload", Final: true}})
	if got := s.reports.last; got.Helped != 6 || s.reports.lastReload != got {
		t.Errorf("the first says %+v, want 6 helped", got)
	}
	stays.done.Helped = 0 // it lies
	s.perform(supervise.CloseAccount{Account: supervise.Account{Number: 2, Cause: "scale", Final: true}})
	if got := s.reports.last; got.Helped != 0 || s.reports.lastReload == got || len(s.reports.begun) > 0 {
		t.Errorf("the second says %+v, and %d are open", got, len(s.reports.begun))
	}
}

// TestScaleAndStopAreReported, and a change that has nobody to wait for.
func TestScaleAndStopAreReported(t *testing.T) {
	t.Parallel()
	r := newReportRig(t, 1)
	r.serving(t)
	for _, scale := range []struct {
		workers string
		gone    int
	}{{"2", 0}, {"1", 1}} {
		a := r.do(t, control.Command{Verb: control.Scale, Workers: scale.workers})
		if c := a.Change; c == nil || c.Cause != "scale" || c.Workers != scale.gone || c.Draining != 0 || c.Lost() {
			t.Errorf("scale to %s: %+v with %+v", scale.workers, a, a.Change)
		}
	}
	if a := r.do(t, control.Command{Verb: control.Scale, Workers: "1"}); a.Result != control.ResultOK || a.Change != nil {
		t.Errorf("a scale to what there is: %+v with %+v", a, a.Change)
	}
	if a := r.do(t, control.Command{Verb: control.Stop}); a.Change == nil || a.Change.Cause != "stop" || a.Change.Workers != 1 || a.Change.Lost() {
		t.Errorf("stop: %+v with %+v", a, a.Change)
	}
	r.mustExit(t, 0)
	r.log.await(t, "stop: nothing was lost", noSlot)
}

// TestDropsInAReport are those that were lost, of our own sockets: our workers have the
// kernel drop the last packet of each handshake on purpose, and a socket of somebody
// else's overflows.
func TestDropsInAReport(t *testing.T) {
	t.Parallel()
	other := mustOpenSockets(t, 1, listening(t, "other", "127.0.0.1:0"))
	s := newShell(t, 1, listeningApp(t, "127.0.0.1:0"))
	fd := s.sockets.endpoints[0].groups[0].FD(0)
	s.perform(supervise.OpenAccount{Number: 1})
	mustDrop(t, other.endpoints[0].groups[0].FD(0))
	s.perform(supervise.CloseAccount{Account: supervise.Account{Number: 1, Cause: "reload", Final: true}})
	if got := s.reports.last; got.Dropped != 0 {
		t.Errorf("%d are dropped at sockets of others: %s", got.Dropped, got.Text)
	}
	s.perform(supervise.OpenAccount{Number: 2})
	mustDrop(t, fd)
	s.perform(supervise.CloseAccount{Account: supervise.Account{Number: 2, Cause: "reload", Final: true}})
	if got := s.reports.last; got.Dropped == 0 || !got.Lost() {
		t.Errorf("%d are dropped at ours: %s", got.Dropped, got.Text)
	}
}

// TestDropsAreCountedWhileTheyLast: what a socket has dropped counts also when it has
// closed, and what another one with its number has dropped before does not.
func TestDropsAreCountedWhileTheyLast(t *testing.T) {
	t.Parallel()
	s := mustOpenSockets(t, 1, listening(t, "hello", "127.0.0.1:0"))
	fd := s.endpoints[0].groups[0].FD(0)
	mustDrop(t, fd)
	before := s.dropped()
	if before == 0 {
		t.Fatal("nothing was dropped")
	}
	mustDo(t, s.grow(1, listening(t, "hello", "127.0.0.1:0"), 2))
	mustDo(t, s.grow(2, listening(t, "other", "127.0.0.1:0"), 1))
	if after := s.dropped(); after != before {
		t.Errorf("sockets that have dropped nothing add %d", after-before)
	}
	mustDo(t, s.forget(1))
	if after := s.dropped(); after < before {
		t.Errorf("when its socket has closed %d of %d are left", after, before)
	}
	if len(s.drops.seen) != 1 {
		t.Errorf("the counters of %d sockets are kept, want 1", len(s.drops.seen))
	}
	old := mustOpenSockets(t, 1, listening(t, "hello", "127.0.0.1:0"))
	late := drops{seen: map[int]uint32{}}
	mustDrop(t, old.endpoints[0].groups[0].FD(0))
	if late.see(old.endpoints[0].groups[0].FD(0)); late.total != 0 {
		t.Errorf("a socket that is seen for the first time adds %d", late.total)
	}
}

// mustDrop fills the queue of a listening socket until the kernel drops.
func mustDrop(t testing.TB, fd int) {
	t.Helper()
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	to, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(client) })
		_ = unix.Connect(client, to) // it is under way, or it has come to the queue
	}
	testproc.Await(t, "a drop", func() bool {
		n, err := listen.Drops(fd)
		return err == nil && n > 0
	})
}
