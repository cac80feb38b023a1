package master

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/ipc"
	"prefork/master/config"
	"prefork/master/supervise"
)

// shell is a master without processes: the test is its loop, and everybody in its
// machine is as obedient as can be.
type shell struct {
	*master
	world *obedient
}

func newShell(t testing.TB, slots int, cfg config.Config) *shell {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	cfg.Workers = slots
	s := &shell{master: newMaster(Options{Config: cfg, Log: log}), world: &obedient{}}
	var err error
	s.bell, err = ipc.NewBell()
	mustDo(t, err)
	target := s.keepConfig(cfg)
	s.sockets = newSockets(nil)
	mustDo(t, s.sockets.grow(target.Revision, cfg, slots))
	mustServeAll(t, s.sockets, target.Revision, slots)
	s.loop = newTestLoop(t, s.world, target)
	s.loop.step(supervise.Started{})
	t.Cleanup(func() {
		close(s.ended)
		s.goroutines.Wait()
		mustDo(t, s.sockets.close())
		mustDo(t, s.bell.Close())
	})
	return s
}

// retire scales down, as far as the machine and the kernel know.
func (s *shell) retire(t testing.TB, slots int) {
	t.Helper()
	s.loop.step(supervise.ScaleRequested{Caller: 1, Workers: slots})
	if got := s.loop.machine.Staying(); got != slots {
		t.Fatalf("%d slots stay, want %d", got, slots)
	}
}

// next runs the loop until something is posted.
func (s *shell) next(t testing.TB) supervise.Event {
	t.Helper()
	patience := time.After(testproc.Patience)
	for {
		select {
		case task := <-s.loop.tasks:
			task()
		case ev := <-s.loop.events:
			return ev
		case <-patience:
			t.Fatal("nothing was posted")
		}
	}
}

// dialSlots connects until each of the slots has a connection in its queue.
func (s *shell) dialSlots(t testing.TB) {
	t.Helper()
	empty := func() bool {
		for _, n := range s.sockets.queues() {
			if n == 0 {
				return true
			}
		}
		return false
	}
	for range 1000 {
		if !empty() {
			return
		}
		mustDial(t, s.sockets.addresses()[0])
	}
	t.Fatal("a slot gets no connections")
}

// TestSlotIsEmptiedBeforeItCloses: whoever watches its sockets takes what waits there.
func TestSlotIsEmptiedBeforeItCloses(t *testing.T) {
	t.Parallel()
	s := newShell(t, 3, listeningApp(t, "127.0.0.1:0"))
	s.dialSlots(t)
	s.retire(t, 1)
	deadline := s.loop.now() + time.Hour
	for _, slot := range []int{2, 1} {
		s.perform(supervise.EmptySlot{Slot: slot, Deadline: deadline})
	}
	for n, slot := range []int{1, 2} {
		for range 5 { // looks: it does not give up, nor forget the other one
			(<-s.loop.tasks)()
		}
		if got := len(s.emptying); got != 2-n {
			t.Errorf("%d slots are waited for, want %d", got, 2-n)
		}
		if acceptAll(s.sockets, 1, slot) == 0 {
			t.Errorf("slot %d has lost its connections", slot)
		}
		if got, want := s.next(t), (supervise.SlotEmptied{Slot: slot, Deadline: deadline}); got != want {
			t.Errorf("posted %#v, want %#v", got, want)
		}
	}
	mustDial(t, s.sockets.addresses()[0]) // to slot 0: nothing more comes to those that retire
	if got := s.sockets.queues(); got[0] == 0 || got[1] != 0 || got[2] != 0 {
		t.Errorf("the queues have %v, want nothing in slots 1 and 2", got)
	}
}

// TestSlotThatNobodyEmptiesIsReported at the deadline, with what is left.
func TestSlotThatNobodyEmptiesIsReported(t *testing.T) {
	t.Parallel()
	s := newShell(t, 2, listeningApp(t, "127.0.0.1:0"))
	s.dialSlots(t)
	waits := s.sockets.queues()[1]
	s.retire(t, 1)
	began := s.loop.now()
	deadline := began + 100*time.Millisecond
	s.perform(supervise.EmptySlot{Slot: 1, Deadline: deadline})
	if got, want := s.next(t), (supervise.SlotEmptied{Slot: 1, Deadline: deadline, Left: waits}); got != want {
		t.Errorf("posted %#v, want %#v", got, want)
	}
	if took := s.loop.now() - began; took < 100*time.Millisecond {
		t.Errorf("it gave up after %v", took)
	}
}

// TestSilentClientsOfASlotThatRetiresReachTheQueue: a program had asked not to be
// told of them.
func TestSilentClientsOfASlotThatRetiresReachTheQueue(t *testing.T) {
	t.Parallel()
	s := newShell(t, 2, listeningApp(t, "127.0.0.1:0"))
	for slot := range 2 {
		mustDo(t, unix.SetsockoptInt(s.sockets.of(1, slot)[0].FD, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30))
	}
	for range 40 {
		mustDial(t, s.sockets.addresses()[0])
	}
	if got := s.sockets.queues(); got[0]+got[1] != 0 {
		t.Fatalf("%v wait: they have said nothing yet", got)
	}
	s.retire(t, 1)
	deadline := s.loop.now() + time.Hour
	s.perform(supervise.EmptySlot{Slot: 1, Deadline: deadline})
	taken := 0
	testproc.Await(t, "the silent clients", func() bool {
		(<-s.loop.tasks)()
		taken += acceptAll(s.sockets, 1, 1)
		return len(s.emptying) == 0
	})
	if got, want := s.next(t), (supervise.SlotEmptied{Slot: 1, Deadline: deadline}); got != want || taken == 0 {
		t.Errorf("posted %#v after %d were taken, want %#v", got, taken, want)
	}
}

// TestSlotThatIsServedAgainIsNotWaitedFor.
func TestSlotThatIsServedAgainIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newShell(t, 2, listeningApp(t, "127.0.0.1:0"))
	s.dialSlots(t)
	s.retire(t, 1)
	s.perform(supervise.EmptySlot{Slot: 1, Deadline: s.loop.now() + time.Hour})
	(<-s.loop.tasks)()
	s.loop.step(supervise.ScaleRequested{Caller: 2, Workers: 2})
	s.sockets.serve(1, 1)
	s.settleSockets()
	(<-s.loop.tasks)()
	if len(s.emptying) != 0 || len(s.loop.events) != 0 {
		t.Errorf("%d slots are waited for, %d events posted", len(s.emptying), len(s.loop.events))
	}
	// What waits for nobody has ended; the next one begins anew.
	s.retire(t, 1)
	deadline := s.loop.now() + time.Millisecond
	s.perform(supervise.EmptySlot{Slot: 1, Deadline: deadline})
	if got, ok := s.next(t).(supervise.SlotEmptied); !ok || got.Deadline != deadline || got.Left == 0 {
		t.Errorf("posted %#v, want that something is left at %v", got, deadline)
	}
}

// TestQueuesOfAllEditionsAreLookedAt, of all slots, and what they share once.
func TestQueuesOfAllEditionsAreLookedAt(t *testing.T) {
	t.Parallel()
	path := "unix:" + testproc.SocketDir(t) + "/web"
	cfg := listeningApp(t, "127.0.0.1:0", path)
	s := newShell(t, 3, cfg)
	s.dialSlots(t)
	mustDial(t, path)
	mustLook := func(what string, moved bool) supervise.QueuesSampled {
		t.Helper()
		got := s.perform(supervise.LookAtQueues{})[0].(supervise.QueuesSampled)
		if got.Moved != moved {
			t.Errorf("%s: moved is %v, want %v", what, got.Moved, moved)
		}
		return got
	}
	first := mustLook("at first", true)
	again := mustLook("again", false)
	if fmt.Sprint(first.Waiting) != fmt.Sprint(again.Waiting) || len(again.Waiting) != 3 {
		t.Errorf("waiting is %v and %v, want the same for three slots", first.Waiting, again.Waiting)
	}
	other := cfg
	other.App = "echo"
	mustDo(t, s.sockets.grow(2, other, 3))
	mustServeAll(t, s.sockets, 2, 3)
	if got := mustLook("with a generation more", false); fmt.Sprint(got.Waiting) != fmt.Sprint(first.Waiting) {
		t.Errorf("waiting is %v, want %v, which is left to the old workers", got.Waiting, first.Waiting)
	}
	if taken := acceptAll(s.sockets, 1, 0); taken != first.Waiting[0] {
		t.Errorf("slot 0 had %d connections, want %d with that of the Unix socket", taken, first.Waiting[0])
	}
	if got := mustLook("after an accept", true); got.Waiting[0] != 0 || got.Waiting[1] == 0 || got.Waiting[2] == 0 {
		t.Errorf("waiting is %v, want nothing in slot 0", got.Waiting)
	}
}

// counting is a talk with a worker that has done so much.
type counting struct {
	talk
	done ipc.Counters
}

func (c *counting) counters() ipc.Counters { return c.done }

// TestMovesDoNotCancelOut: a connection that leaves the queue is one more that was
// accepted, and both are moves.
func TestMovesDoNotCancelOut(t *testing.T) {
	t.Parallel()
	s := newShell(t, 1, listeningApp(t, "127.0.0.1:0"))
	worker := &counting{}
	s.children[supervise.WorkerID{}] = &child{talk: worker}
	s.dialSlots(t)
	moved := func() bool { return s.perform(supervise.LookAtQueues{})[0].(supervise.QueuesSampled).Moved }
	moved()
	worker.done.Accepted = uint64(acceptAll(s.sockets, 1, 0))
	if !moved() {
		t.Error("an accept is no move")
	}
	if moved() {
		t.Error("nothing is a move")
	}
	worker.done.Requests++
	if !moved() {
		t.Error("a request on an open connection is no move")
	}
}

// BenchmarkLookAtQueues while nothing waits, which is how most looks are.
func BenchmarkLookAtQueues(b *testing.B) {
	for _, slots := range []int{4, 1024} {
		b.Run(fmt.Sprint(slots), func(b *testing.B) {
			s := newShell(b, slots, listeningApp(b, "127.0.0.1:0"))
			b.ReportAllocs()
			for b.Loop() {
				s.perform(supervise.LookAtQueues{})
			}
		})
	}
}
