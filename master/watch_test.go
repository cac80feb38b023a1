package master

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/ipc"
	"prefork/master/control"
	"prefork/master/supervise"
)

// watches counts how often a worker of one slot was given these sockets of another,
// as its output tells.
func (r *rig) watches(slot, watched int, inodes string) int {
	line := fmt.Sprintf("slot %d watches slot %d: %s", slot, watched, inodes)
	found, _ := r.log.find(true, func(e entry) bool { return e.text("msg") == line })
	return len(found)
}

// inodes are the listening sockets of a slot's worker, as it printed them.
func (r *rig) inodes(t testing.TB, slot int) []string {
	t.Helper()
	prefix := fmt.Sprintf("slot %d has [", slot)
	e := r.log.awaitThat(t, prefix, true, func(e entry) bool { return strings.HasPrefix(e.text("msg"), prefix) })
	return strings.Fields(strings.Trim(strings.TrimPrefix(e.text("msg"), prefix), "]"))
}

// TestWatchBringsTheSocketsOfTheSlot, one for each address of TCP, and not what all
// slots share.
func TestWatchBringsTheSocketsOfTheSlot(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.orders.Listen = []string{"127.0.0.1:0", "unix:" + filepath.Join(testproc.SocketDir(t), "web"), "[::1]:0"}
	r.serving(t)
	for slot := range 4 {
		for n := 1; n <= 2; n++ {
			watched := (slot + n) % 4
			own := r.inodes(t, watched)
			want := fmt.Sprint([]string{own[0], own[2]})
			testproc.Await(t, fmt.Sprintf("slot %d to watch %s of slot %d", slot, want, watched), func() bool { return r.watches(slot, watched, want) > 0 })
		}
	}
	if st := r.status(t); st.Helpers != 2 || st.Steering != "off" {
		t.Errorf("helpers is %d and steering %q, want 2 and off", st.Helpers, st.Steering)
	}
}

// TestNobodyWatchesWhatAllShare, and the machine does not wait for an answer.
func TestNobodyWatchesWhatAllShare(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.orders.Listen = []string{"unix:" + filepath.Join(testproc.SocketDir(t), "web")}
	st := r.serving(t)
	if st.Helpers != 0 {
		t.Errorf("helpers is %d, want 0", st.Helpers)
	}
	r.do(t, control.Command{Verb: control.Reload})
	r.awaitReady(t, 3)
	if found, _ := r.log.find(true, func(e entry) bool { return strings.Contains(e.text("msg"), "watches slot") }); len(found) > 0 {
		t.Errorf("somebody was sent sockets: %v", found)
	}
}

// TestWatchersStandBehindTheNextOwner: they are asked again when it listens.
func TestWatchersStandBehindTheNextOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	st := r.serving(t)
	own := fmt.Sprint(r.inodes(t, 1))
	testproc.Await(t, "the first watch", func() bool { return r.watches(0, 1, own) == 1 })
	mustKill(t, st.Workers[1])
	testproc.Await(t, "the second watch", func() bool { return r.watches(0, 1, own) == 2 })
	r.awaitReady(t, 3)
}

// TestSocketThatWasShutDownIsWatchedAgain: whoever watched it has let go of it.
func TestSocketThatWasShutDownIsWatchedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behaveOnce(t, 1, "shut-down")
	r.serving(t)
	own := fmt.Sprint(r.inodes(t, 1))
	r.log.await(t, "listening socket was shut down", noSlot).mustSay(t, "reason", "called shutdown on the socket of slot 1")
	testproc.Await(t, "the second watch", func() bool { return r.watches(0, 1, own) == 2 })
}

// TestChildrenRingTheBell: stop, continuation and death of a worker.
func TestChildrenRingTheBell(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.behave(t, 0, "hear-bell")
	st := r.serving(t)
	rings := func() int {
		found, _ := r.log.find(true, func(e entry) bool { return e.text("msg") == "the bell rings" })
		return len(found)
	}
	// Beside the start nothing rings by itself: each signal makes one ring more.
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT, syscall.SIGKILL} {
		before := rings()
		if err := syscall.Kill(st.Workers[2].PID, sig); err != nil {
			t.Fatal(err)
		}
		testproc.Await(t, fmt.Sprintf("a ring after %v", sig), func() bool { return rings() > before })
	}
	r.awaitReady(t, 3)
}

// TestChildrenThatFlickerDoNotFlood the loop.
func TestChildrenThatFlickerDoNotFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		received, stop := make(chan os.Signal, 1), make(chan struct{})
		posted := 0
		go passChildren(received, func(ev supervise.Event) {
			if ev != (supervise.SignalReceived{Signal: supervise.SIGCHLD}) {
				t.Errorf("posted %#v", ev)
			}
			posted++
		}, stop)
		for range 10 {
			for range 100 { // as package signal does
				select {
				case received <- unix.SIGCHLD:
				default:
				}
				synctest.Wait()
			}
			<-time.After(childrenEvery)
			synctest.Wait()
		}
		if posted < 10 || posted > 12 {
			t.Errorf("%d were passed on in ten times %v, want about ten", posted, childrenEvery)
		}
		close(stop)
	})
}

// hearAll hands messages to a talk with a worker as hear does, and returns what it
// posted until the first error.
func hearAll(o *ours, messages ...ipc.Message) (posted []supervise.Event, err error) {
	o.child = &child{id: supervise.WorkerID{Slot: 1, Incarnation: 5}, post: func(ev supervise.Event) { posted = append(posted, ev) }}
	seen := map[ipc.Kind]bool{ipc.KindHello: true}
	for _, m := range messages {
		if err = o.accept(m, seen); err != nil {
			return posted, err
		}
	}
	return posted, nil
}

// TestAnswersNobodyAskedFor are refused, or a worker could flood the loop.
func TestAnswersNobodyAskedFor(t *testing.T) {
	t.Parallel()
	o := &ours{}
	o.asked.Store(2)
	posted, err := hearAll(o, ipc.Listening{}, ipc.Watched{Slot: 2}, ipc.Watched{Slot: 3}, ipc.Watched{Slot: 2})
	id := supervise.WorkerID{Slot: 1, Incarnation: 5}
	want := []supervise.Event{supervise.WorkerSaidListening{ID: id}, supervise.WorkerSaidWatched{ID: id, Slot: 2}, supervise.WorkerSaidWatched{ID: id, Slot: 3}}
	if !slices.Equal(posted, want) || err == nil || !strings.Contains(err.Error(), "it says that it watches slot 2, and was not asked to") {
		t.Errorf("posted %v, %v, want %v and a refusal", posted, err, want)
	}
	often := slices.Repeat([]ipc.Message{ipc.Listening{}}, listeningMax+1)
	if posted, err := hearAll(&ours{begun: time.Now()}, often...); len(posted) != listeningMax || err == nil || !strings.Contains(err.Error(), "too often") {
		t.Errorf("%d listenings: %d were taken, %v, want %d and a refusal", len(often), len(posted), err, listeningMax)
	}
	if _, err := hearAll(&ours{}, ipc.Watch{}); err == nil || !strings.Contains(err.Error(), "watch is the master's to say") {
		t.Errorf("a watch: got %v", err)
	}
}

// TestWatchOfWhoTakesNoMessages: a full channel is an offence, its end is not, and
// neither is a shortage of the machine's.
func TestWatchOfWhoTakesNoMessages(t *testing.T) {
	t.Parallel()
	mine, theirs, err := ipc.Pair()
	mustDo(t, err)
	defer mine.Close()
	o := &ours{conn: mine}
	sent := 0
	for ; err == nil && sent < 100_000; sent++ {
		err = o.watch(1, nil)
	}
	if err == nil || !strings.Contains(err.Error(), "it does not take messages") || o.asked.Load() != int32(sent) {
		t.Errorf("after %d messages: got %v, with %d unanswered", sent, err, o.asked.Load())
	}
	mustDo(t, theirs.Close())
	if err := o.watch(1, nil); err != nil {
		t.Errorf("a closed channel: got %v, want nothing: whoever closed it says so", err)
	}
	for err, want := range map[error]bool{unix.ETOOMANYREFS: true, unix.ENOMEM: true, unix.EAGAIN: false, unix.EPIPE: false, nil: false} {
		if got := scarce(fmt.Errorf("send: %w", err)); got != want {
			t.Errorf("%v is a shortage: %v, want %v", err, got, want)
		}
	}
}
