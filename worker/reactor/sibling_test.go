package reactor

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

const neighbour = 7 // what a test calls a sibling

// help has the loop watch a sibling's sockets and returns how often left was
// called, for later. It checks that left may close them.
func (r *rig) help(number int, fds ...int) *int {
	r.t.Helper()
	left := new(int)
	must(r.t, r.loop.Help(number, fds, func() {
		*left++
		for _, fd := range fds {
			must(r.t, unix.Close(fd))
		}
	}))
	return left
}

// copyOf is what a sibling would be given.
func copyOf(t testing.TB, fd int) int {
	t.Helper()
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return copied
}

func (r *rig) expectCounts(accepted, helped int) {
	r.t.Helper()
	if r.accepted != accepted || r.helped != helped {
		r.t.Errorf("accepted %d, of them %d for siblings, want %d and %d", r.accepted, r.helped, accepted, helped)
	}
}

func expectLeft(t testing.TB, left *int, want int) {
	t.Helper()
	if *left != want {
		t.Errorf("left was called %d times, want %d", *left, want)
	}
}

func expectQueue(t testing.TB, fd, want int) {
	t.Helper()
	if got, err := queueLength(fd); err != nil || got != want {
		t.Errorf("in the queue: %d, %v, want %d", got, err, want)
	}
}

func TestHelpServesASibling(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	theirs := listenTCP(t)
	c := r.dialTo(theirs) // it waits since before
	left := r.help(neighbour, copyOf(t, theirs))
	c.write("a\n")
	c.expect("a\n")
	r.connect()
	r.expectCounts(2, 1)
	expectLeft(t, left, 0)
}

func TestHelpRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	first, second := listenTCP(t), listenTCP(t)
	never := func() { t.Error("left was called for sockets that were refused") }
	kept := r.help(neighbour, copyOf(t, first))
	closed := copyOf(t, second)
	must(t, unix.Close(closed))
	for _, fds := range [][]int{{second, -1}, {second, second}} {
		if err := r.loop.Help(neighbour, fds, never); !errors.Is(err, unix.EBADF) && !errors.Is(err, unix.EEXIST) {
			t.Errorf("fds %v: %v, want EBADF or EEXIST", fds, err)
		}
	}
	expectLeft(t, kept, 0)
	stranger, known := r.dialTo(second), r.dialTo(first)
	known.write("a\n")
	known.expect("a\n") // what was watched before still is
	stranger.expectOpen()
	expectQueue(t, second, 1)

	r.drain(0)
	r.until("the drain has begun", r.loop.Draining)
	if err := r.loop.Help(neighbour, []int{second}, never); !errors.Is(err, os.ErrClosed) {
		t.Errorf("while draining: %v, want os.ErrClosed", err)
	}
	expectLeft(t, kept, 1)
}

// Watching again takes new descriptors of the same socket in and lets the old ones
// out, with nothing stuck between them.
func TestHelpAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	theirs := listenTCP(t)
	var last *int
	for range 5 {
		waiting := r.dialTo(theirs)
		left := r.help(neighbour, copyOf(t, theirs))
		if last != nil {
			expectLeft(t, last, 1)
		}
		last = left
		waiting.write("a\n")
		waiting.expect("a\n")
	}
	expectLeft(t, last, 0)
	if n := len(r.loop.listeners); n != 2 {
		t.Errorf("%d listening sockets in the loop, want our own and one of the sibling", n)
	}
	r.expectCounts(5, 5)
}

// A sibling that gets other sockets: what we were woken for in the old ones is
// accepted, the rest is left to others.
func TestHelpWithOtherSockets(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	before, after := listenTCP(t), listenTCP(t)
	left := r.help(neighbour, copyOf(t, before))
	r.dialTo(before)
	r.dialTo(before)
	must(t, r.loop.Help(neighbour, []int{after}, nil))
	expectLeft(t, left, 1)
	r.quiet()
	expectQueue(t, before, 1)
	r.expectCounts(1, 1)
}

// Letting go accepts what waits, and tells both calls.
func TestLetGo(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	theirs, others := listenTCP(t), listenTCP(t)
	left := r.help(neighbour, copyOf(t, theirs), copyOf(t, others))
	for range leaveAcceptsPerTurnMax + 5 {
		r.dialTo(theirs)
	}
	r.dialTo(others)
	letGo := r.help(neighbour)
	expectLeft(t, left, 0) // first what waits
	r.quiet()
	expectLeft(t, left, 1)
	expectLeft(t, letGo, 1)
	r.expectCounts(leaveAcceptsPerTurnMax+6, leaveAcceptsPerTurnMax+6)
	r.dialTo(theirs)
	r.quiet()
	expectQueue(t, theirs, 1) // somebody else's now
	expectLeft(t, r.help(neighbour), 1)
	r.connect() // our own goes on
}

// Watching again while it is let go: the old sockets are emptied all the same.
func TestHelpWhileLettingGo(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	before, after := listenTCP(t), listenTCP(t)
	left := r.help(neighbour, copyOf(t, before))
	r.dialTo(before)
	r.dialTo(before)
	letGo := r.help(neighbour)
	again := r.help(neighbour, copyOf(t, after))
	r.quiet()
	expectLeft(t, left, 1)
	expectLeft(t, letGo, 1)
	expectLeft(t, again, 0)
	expectQueue(t, before, 0)
	c := r.dialTo(after)
	c.write("a\n")
	c.expect("a\n")
}

// A sibling's slot that closes shuts its sockets down: no report, no spinning, and
// those that are left go on.
func TestSiblingShutDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	first, second := listenTCP(t), listenTCP(t)
	left := r.help(neighbour, copyOf(t, first), copyOf(t, second))
	r.quiet()
	before := r.beats
	must(t, unix.Shutdown(first, unix.SHUT_RDWR))
	r.quiet()
	if turns := r.beats - before; turns > 3 || r.poller.last != 0 {
		t.Errorf("%d turns and %d events at last, want hardly any and none", turns, r.poller.last)
	}
	if len(r.reports) > 0 {
		t.Errorf("reported %v, want nothing", r.reports)
	}
	expectLeft(t, left, 0)
	c := r.dialTo(second)
	c.write("a\n")
	c.expect("a\n")
	must(t, unix.Shutdown(second, unix.SHUT_RDWR))
	r.quiet()
	expectLeft(t, left, 1)
	expectLeft(t, r.help(neighbour), 1) // nothing is watched any more
}

func TestDrainEmptiesSiblingsToo(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	theirs := listenTCP(t)
	waiting := make([]*client, 2*leaveAcceptsPerTurnMax)
	for i := range waiting {
		waiting[i] = r.dialTo(theirs)
		waiting[i].offer([]byte("a\n"))
	}
	helped := r.help(neighbour, copyOf(t, theirs))
	order := []string{}
	r.loop.Drain(0, func() {
		expectLeft(t, helped, 1) // BEFORE our own
		order = append(order, "left")
	})
	r.until("the listeners have left", func() bool { return len(order) > 0 })
	expectQueue(t, theirs, 0)
	for _, c := range waiting {
		c.expect("a\n")
		c.expectEnd()
		c.close()
	}
	r.untilDrained()
	r.expectCounts(len(waiting), len(waiting))
}

// The end of the loop, and a drain's deadline, let go of everything.
func TestSiblingsLeaveAtTheEnd(t *testing.T) {
	t.Parallel()
	t.Run("close", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, Config{})
		left := r.help(neighbour, copyOf(t, r.listen))
		r.close()
		expectLeft(t, left, 1)
	})
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, Config{})
		left := r.help(neighbour, copyOf(t, r.listen))
		r.loop.beginDrain(r.now+1, nil)
		r.loop.listeners[1].pause(unix.EMFILE) // it cannot be emptied
		r.pass(2 * wheelTick)
		expectLeft(t, left, 1)
		r.untilDrained()
	})
}

// Two full queues, our own and a sibling's: they are served in turn, one
// connection in each turn of the loop.
func TestOneAcceptInATurn(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	theirs := listenTCP(t)
	r.help(neighbour, copyOf(t, theirs))
	const each = 10
	for range each {
		r.dial()
		r.dialTo(theirs)
	}
	r.poller.timeout = 0
	for n := 1; n <= 2*each; n++ {
		r.turn()
		r.expectCounts(n, r.helped)
		if ahead := n - 2*r.helped; ahead < -1 || ahead > 1 {
			t.Fatalf("after %d accepts %d were for the sibling: one queue starves", n, r.helped)
		}
	}
}

// A busy queue does not keep the others waiting, however many there are.
func TestQueuesTakeTurns(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	const queues = 20
	var theirs [queues]int
	for i := range theirs {
		theirs[i] = listenTCP(t)
		r.help(i, copyOf(t, theirs[i]))
	}
	for range 3 * queues {
		r.dial()
	}
	for _, fd := range theirs {
		r.dialTo(fd)
	}
	r.poller.timeout = 0
	for range 2 * queues {
		r.turn()
	}
	if r.helped != queues {
		t.Errorf("%d of %d siblings were served in %d turns", r.helped, queues, 2*queues)
	}
}

// One shortage is one report, however many queues meet it.
func TestPausesOfAllQueuesAreOneReport(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.help(neighbour, copyOf(t, listenTCP(t)))
	for _, ls := range r.loop.listeners {
		ls.pause(unix.EMFILE)
	}
	if len(r.reports) != 1 {
		t.Errorf("got reports %v, want one", r.reports)
	}
	r.pass(acceptPause + wheelTick)
	r.connect()
	r.loop.listeners[0].pause(unix.EMFILE)
	if len(r.reports) != 2 {
		t.Errorf("got reports %v, want another one for another shortage", r.reports)
	}
}

// Who came first is asked first: an owner that sleeps is woken, and its sibling is
// not; one that is busy is helped. A new owner has precedence when its siblings have
// watched again.
func TestOwnerIsAskedFirst(t *testing.T) {
	t.Parallel()
	theirs := listenTCP(t)
	owner := testproc.NewSleeper(t, theirs)
	r := newRig(t, Config{})
	r.help(neighbour, copyOf(t, theirs))
	c := r.loseWake(owner, theirs)
	r.expectCounts(r.helped, r.helped) // by attempts that failed
	must(t, r.loop.Help(neighbour, nil, nil))
	r.quiet() // it does not stay there
	c.write("a\n")
	c.expect("a\n")

	r.help(neighbour, copyOf(t, theirs))
	busy := r.dialTo(theirs)
	busy.write("a\n")
	busy.expect("a\n")

	successor := testproc.NewSleeper(t, theirs) // behind us
	owner.Leave()
	for range 5 {
		if !r.wakes(successor, theirs) {
			t.Fatal("who came later was asked first")
		}
	}
	r.help(neighbour, copyOf(t, theirs))
	r.loseWake(successor, theirs)
}
