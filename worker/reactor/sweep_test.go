package reactor

import (
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// newBell makes a bell and what rings it.
func newBell(t testing.TB) (bell int, ring func()) {
	t.Helper()
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	must(t, err)
	t.Cleanup(func() { unix.Close(bell) })
	return bell, func() {
		_, err := unix.Write(bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		must(t, err)
	}
}

// Whoever had the wake-up does not come: the bell finds the connections, our own
// and the siblings', one in a turn.
func TestBellFindsWhatWaits(t *testing.T) {
	t.Parallel()
	const siblings = 3
	bell, ring := newBell(t)
	r := newRig(t, Config{Bell: bell})
	var theirs [siblings]int
	var clients [siblings]*client
	for i := range theirs {
		theirs[i] = listenTCP(t)
		owner := testproc.NewSleeper(t, theirs[i])
		r.help(i, copyOf(t, theirs[i]))
		clients[i] = r.loseWake(owner, theirs[i])
	}
	before := r.accepted
	ring()
	r.poller.timeout = 0
	for n := range siblings + 1 { // and our own queue, in which nothing waits
		if got := r.accepted - before; got > n {
			t.Fatalf("%d accepted in %d turns", got, n)
		}
		r.turn()
	}
	for i, c := range clients {
		expectQueue(t, theirs[i], 0)
		c.write("a\n")
		c.expect("a\n")
	}
}

// A ring costs an idle loop one look into each queue, and it sleeps again.
func TestBellEndsInSleep(t *testing.T) {
	t.Parallel()
	bell, ring := newBell(t)
	ring() // before anybody listens
	r := newRig(t, Config{Bell: bell})
	theirs := listenTCP(t)
	r.help(neighbour, copyOf(t, theirs))
	for range 3 {
		r.quiet()
		before := r.beats
		ring()
		ring() // one with the other
		r.quiet()
		if turns := r.beats - before; turns > 5 {
			t.Errorf("%d turns for a bell, want one for each queue and some at the end", turns)
		}
		if r.loop.patience() == 0 {
			t.Error("the loop does not sleep any more")
		}
	}
	r.connect()
	r.expectCounts(1, 0)
}

// Nobody reads the bell: each ring is heard by every loop.
func TestBellIsHeardByAll(t *testing.T) {
	t.Parallel()
	bell, ring := newBell(t)
	for range 2 { // the second round finds a bell that was rung before
		var rigs [2]*rig
		var queues [2]int
		for i := range rigs {
			queues[i] = listenTCP(t)
			owner := testproc.NewSleeper(t, queues[i])
			rigs[i] = newRig(t, Config{Bell: bell})
			rigs[i].help(neighbour, copyOf(t, queues[i]))
			rigs[i].loseWake(owner, queues[i])
		}
		ring()
		for i, r := range rigs {
			r.quiet()
			expectQueue(t, queues[i], 0)
		}
	}
}

// The bell finds our own queue, too, when a sibling has taken the wake-up.
func TestBellFindsOurOwn(t *testing.T) {
	t.Parallel()
	bell, ring := newBell(t)
	theirs := listenTCP(t)
	sibling := testproc.NewSleeper(t, theirs)
	r := newRig(t, Config{Bell: bell})
	must(t, r.loop.Listen(theirs))
	before := r.accepted
	c := r.loseWake(sibling, theirs)
	ring()
	c.write("a\n")
	c.expect("a\n")
	if r.helped != 0 || r.accepted == before {
		t.Errorf("accepted %d, of them %d for siblings", r.accepted-before, r.helped)
	}
}

// More than one may be stuck in a queue: as many as have had a wake-up.
func TestBellFindsAllInAQueue(t *testing.T) {
	t.Parallel()
	bell, ring := newBell(t)
	theirs := listenTCP(t)
	first, second := testproc.NewSleeper(t, theirs), testproc.NewSleeper(t, theirs)
	r := newRig(t, Config{Bell: bell})
	r.help(neighbour, copyOf(t, theirs))
	stuck := false
	for n := 0; !stuck; n++ {
		if n == 50 {
			t.Fatal("the loop is told of every connection, although others sleep who came first")
		}
		before := r.accepted
		first.Sleep()
		second.Sleep()
		r.dialTo(theirs)
		r.dialTo(theirs)
		awaitQueue(t, theirs, 2)
		first.Rise()
		second.Rise()
		r.quiet()
		stuck = r.accepted == before
	}
	ring()
	r.quiet()
	expectQueue(t, theirs, 0)
}

// A socket that pauses is left alone, and so is one that leaves: neither keeps the
// loop awake.
func TestBellSparesWhoPauses(t *testing.T) {
	t.Parallel()
	bell, ring := newBell(t)
	r := newRig(t, Config{Bell: bell})
	for _, sweep := range []func(){r.loop.hearBell, ring} { // before the pause, and in it
		sweep()
		r.loop.listeners[0].pause(unix.EMFILE)
		r.dial()
		r.quiet()
		r.expectCounts(0, 0)
	}
	left := r.drain(0)
	ring()
	r.quiet()
	expectLeft(t, left, 1)
	expectQueue(t, r.listen, 0)
}

// A sweep that is under way ends with the sockets that it was for.
func TestSweepOfWhatLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*rig){
		"pause":  func(r *rig) { r.loop.listeners[1].pause(unix.EMFILE) },
		"let go": func(r *rig) { must(r.t, r.loop.Help(neighbour, nil, nil)) },
		"again":  func(r *rig) { r.help(neighbour, copyOf(r.t, r.listen)) },
		"drain":  func(r *rig) { r.loop.beginDrain(0, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{})
			r.help(neighbour, copyOf(t, listenTCP(t)))
			r.loop.hearBell()
			leave(r)
			r.quiet()
			if r.loop.hasQueueWork() {
				t.Error("the loop still sweeps")
			}
		})
	}
}

func TestBellMustBeOne(t *testing.T) {
	t.Parallel()
	file := openFile(t)
	if _, err := New(Config{Bell: file, NewHandler: func() Handler { return nil }}); err == nil {
		t.Error("a file was taken for a bell")
	}
}

// openFile opens what no poller takes.
func openFile(t testing.TB) int {
	t.Helper()
	fd, err := unix.Open("/proc/self/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
