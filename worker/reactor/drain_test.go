package reactor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDrainWithoutConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	left := r.drain(0)
	r.untilDrained()
	if *left != 1 {
		t.Errorf("left was called %d times, want once", *left)
	}
}

// An idle client sees an orderly end, even if it sends at the same moment.
func TestDrainClosesIdleWithoutReset(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c, late := r.connect(), r.connect()
	for _, c := range []*client{c, late} {
		c.write("a\n")
		c.expect("a\n")
	}
	r.drain(0)
	r.quiet()
	late.offer([]byte("crossing\n")) // after we have closed, before it has noticed
	r.quiet()
	for _, c := range []*client{c, late} {
		c.expectEnd()
		c.close()
	}
	r.untilDrained()
}

// While draining, we end a conversation that the client may want to go on with:
// what it sends after the last answer must not be met by a reset.
func TestDrainLingersAfterTheLastAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	r.drain(0)
	r.until("the drain has begun", r.loop.Draining)
	c.write("close\n")
	c.expect("bye\n")
	c.expectEnd()
	if r.connections != 1 {
		t.Errorf("got %d connections, want 1 that lingers", r.connections)
	}
	c.close()
	r.untilDrained()
}

// A client that never closes its side does not keep the loop.
func TestDrainDoesNotWaitForIdleClients(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	c.write("a\n")
	c.expect("a\n")
	r.drain(0)
	c.expectEnd()
	r.pass(lingerTime + slack)
	r.untilDrained()
}

func TestDrainFinishesHalfRequests(t *testing.T) {
	t.Parallel()
	for _, half := range []string{"half", "body", ""} { // "": the first message is still on its way
		t.Run(half, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{})
			c := r.connect()
			c.write(half)
			r.quiet()
			left := r.drain(0)
			r.quiet()
			c.expectOpen()
			if *left != 1 {
				t.Errorf("left was called %d times, want once: listeners do not wait for connections", *left)
			}
			c.write(" and the rest\n")
			c.expect(half + " and the rest\n")
			c.expectEnd()
			c.close()
			r.untilDrained()
		})
	}
}

// What a pipelining client has sent by the time of the drain is answered.
func TestDrainAnswersPipelinedRequests(t *testing.T) {
	t.Parallel()
	requests := strings.Repeat("a\n", 10*messagesPerTurnMax)
	for _, test := range []struct{ name, rest string }{
		{"all there", ""},
		{"the last one in half", "b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{})
			c := r.connect()
			c.write("a\n")
			c.expect("a\n")
			r.drain(0)
			c.offer([]byte(requests + test.rest)) // the loop hears of both in one turn
			c.expect(requests)
			if test.rest != "" {
				r.quiet()
				c.expectOpen()
				c.write("\n")
				c.expect(test.rest + "\n")
			}
			c.expectEnd()
			c.close()
			r.untilDrained()
		})
	}
}

// A request that is on its way when the drain begins, on an idle connection.
func TestDrainAnswersRequestThatArrivesWithIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	c.write("a\n")
	c.expect("a\n")
	r.loop.beginDrain(0, nil) // in the middle of a turn, after the connections
	c.offer([]byte("b\n"))
	r.loop.goOnDraining()
	c.expect("b\n")
	c.expectEnd()
	c.close()
	r.untilDrained()
}

// Connections that wait in the queue are ours: nobody else was woken for them.
func TestDrainAcceptsWhatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	waiting := make([]*client, 3*leaveAcceptsPerTurnMax)
	for i := range waiting {
		waiting[i] = r.dial()
		waiting[i].offer([]byte("a\n"))
	}
	left := r.drain(0)
	r.until("the listeners have left", func() bool { return *left > 0 })
	if length, err := queueLength(r.listen); err != nil || length != 0 {
		t.Errorf("queue: got %d, %v, want none", length, err)
	}
	stranger := r.dial() // a sibling's now
	for _, c := range waiting {
		c.expect("a\n")
		c.expectEnd()
		c.close()
	}
	r.untilDrained()
	stranger.expectOpen()
	if r.accepted != len(waiting) {
		t.Errorf("accepted %d, want %d", r.accepted, len(waiting))
	}
}

// While connections keep coming, the listeners leave all the same.
func TestDrainLeavesBusyListener(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	ls := r.loop.listeners[0]
	r.dial()
	r.dial()
	ls.leave()
	r.dial() // after the others: somebody else's
	if !ls.empty(leaveAcceptsPerTurnMax) {
		t.Error("the listener is not empty of what waited when it left")
	}
	if r.accepted != 2 {
		t.Errorf("accepted %d, want the 2 that waited", r.accepted)
	}
}

func TestDrainClosesManyIdleInManyTurns(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	clients := make([]*client, partsPerTurnMax+50)
	for i := range clients {
		clients[i] = r.connect()
		clients[i].write("a\n")
		clients[i].expect("a\n")
	}
	r.drain(0)
	r.poller.timeout = 0
	r.turn()
	parted := 0
	for c := range r.loop.registry.conns.all() {
		if c.lingering {
			parted++
		}
	}
	if parted > partsPerTurnMax || parted == 0 {
		t.Errorf("one turn parted with %d connections, want some and %d at most", parted, partsPerTurnMax)
	}
	for _, c := range clients {
		c.expectEnd()
		c.close()
	}
	r.untilDrained()
}

func TestDrainWaitsForAnswersToGoOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	c.write("big 1000000\n")
	r.quiet()
	r.drain(0)
	r.quiet()
	c.expect(big(1000000))
	c.expectEnd()
	c.close()
	r.untilDrained()
}

func TestDrainDeadlineCutsShort(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{HeaderTimeout: time.Hour})
	c := r.connect()
	c.write("half")
	r.quiet()
	left := r.drain(r.loop.now + int64(time.Minute))
	r.quiet()
	r.pass(59 * time.Second)
	c.expectOpen()
	r.pass(time.Second + slack)
	r.untilDrained()
	c.expectEndAfterwards()
	if *left != 1 {
		t.Errorf("left was called %d times, want once", *left)
	}
}

func TestSecondDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{HeaderTimeout: time.Hour})
	c := r.connect()
	c.write("half")
	r.quiet()
	now := r.loop.now
	first := r.drain(now + int64(10*time.Second))
	r.quiet()
	second := r.drain(now + int64(5*time.Second))
	third := r.drain(now + int64(time.Hour)) // does not move the deadline away
	fourth := r.drain(0)                     // nor does none
	r.quiet()
	if *first != 1 || *second != 1 || *third != 1 || *fourth != 1 {
		t.Errorf("left was called %d, %d, %d, %d times, want once each", *first, *second, *third, *fourth)
	}
	r.pass(4 * time.Second)
	c.expectOpen()
	r.pass(time.Second + slack)
	r.untilDrained()
}

func TestListenWhileDraining(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.drain(0)
	r.until("the drain has begun", r.loop.Draining)
	if err := r.loop.Listen(listenTCP(t)); err == nil {
		t.Error("a draining loop took a new listening socket")
	}
}

// expectEndAfterwards is for a loop that turns no more.
func (c *client) expectEndAfterwards() {
	c.r.t.Helper()
	ready := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	_, err := unix.Poll(ready, int(patienceOfTests.Milliseconds()))
	for errors.Is(err, unix.EINTR) { // the runtime preempts by signals
		_, err = unix.Poll(ready, int(patienceOfTests.Milliseconds()))
	}
	if err != nil {
		c.r.t.Fatalf("poll: %v", err)
	}
	if c.poll(); c.end == nil {
		c.r.t.Error("the connection is still open")
	}
}
