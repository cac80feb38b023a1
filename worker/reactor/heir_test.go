package reactor

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An heir that cannot be reached: nothing of the connections is lost, and nothing spins.
func TestHeirThatIsSilent(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	clients := r.talkers(3)
	must(t, r.loop.Give(end, 0))
	r.drain(r.now + int64(time.Minute))
	r.quiet()
	for _, c := range clients {
		c.offer([]byte("b\n"))
	}
	if r.turn(); r.poller.last > 0 || r.loop.patience() == 0 {
		t.Errorf("%d events of connections that are given, and the loop sleeps %v", r.poller.last, r.loop.patience())
	}
	for _, c := range clients {
		c.expectOpen()
	}
	r.pass(heirPatience + slack)
	for _, c := range clients {
		c.expect("b\n")
	}
	if len(r.reports) != 1 {
		t.Errorf("reported %v, want one line", r.reports)
	}
	s.expectEnd()
	r.expectHandOver(0, 0, 0, 0)

	heir := newTalker(t, Config{})
	r.beside = []*rig{heir}
	r.inherit(heir)
	r.untilDrained()
	for _, c := range clients {
		c.write("count\n")
		c.expect("3\n")
	}
}

// What was given is not ours to cut before its heir has answered.
func TestDrainSpreadLeavesWhatIsGiven(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{DrainSpread: time.Second, HeaderTimeout: time.Hour})
	s, end := newStranger(t)
	c := r.talkers(1)[0]
	c.write("half")
	r.quiet()
	must(t, r.loop.Give(end, 0))
	r.drain(r.now + int64(2*time.Second))
	r.quiet()
	r.pass(1500 * time.Millisecond)
	c.expectOpen()
	sequence, _ := s.parcel()
	s.say(acknowledgement{sequence, 1}.encode())
	r.untilDrained()
	r.expectHandOver(1, 0, 0, 0)
	c.expectOpen()
}

// An answer that comes with the end of our patience counts.
func TestHeirThatAnswersAtTheLastMoment(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	clients := r.talkers(3)
	must(t, r.loop.Give(end, 0))
	r.drain(r.now + int64(time.Minute))
	r.quiet()
	sequence, _ := s.parcel()
	s.say(acknowledgement{sequence, 2}.encode())
	r.now += int64(heirPatience + slack) // timers have their turn before pairs
	r.quiet()
	s.drop(3)
	for i, c := range clients {
		if c.poll(); (c.end != nil) != (i < 2) {
			t.Errorf("connection %d: %v, want the first two gone with their heir", i, c.end)
		}
	}
	r.expectHandOver(2, 0, 0, 0)
	if len(r.reports) != 1 {
		t.Errorf("reported %v, want one line", r.reports)
	}
}

// What was given and not taken times out as before.
func TestTimeoutsAfterAHandOverInVain(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{IdleTimeout: 20 * time.Second, HeaderTimeout: 10 * time.Second})
	s, end := newStranger(t)
	clients := r.talkers(2)
	clients[1].write("half")
	r.quiet()
	must(t, r.loop.Give(end, 0))
	r.drain(r.now + int64(time.Hour))
	r.quiet()
	r.pass(2 * time.Second)
	s.close()
	r.pass(7 * time.Second)
	clients[1].expectOpen()
	r.pass(time.Second + slack)
	clients[1].expectEnd()
	r.pass(9 * time.Second)
	clients[0].expectOpen()
	r.pass(time.Second + slack)
	clients[0].expectEnd()
	clients[0].close()
	r.untilDrained()
}

// While a connection is given nobody's deadline is ours.
func TestTimeoutWhileGiven(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{IdleTimeout: time.Second})
	s, end := newStranger(t)
	c := r.talkers(1)[0]
	must(t, r.loop.Give(end, 0))
	r.drain(0)
	r.quiet()
	r.pass(time.Second + slack)
	c.expectOpen()
	sequence, _ := s.parcel()
	s.say(acknowledgement{sequence, 1}.encode())
	r.untilDrained()
	r.expectHandOver(1, 0, 0, 0)
	c.expectOpen()
}

// The socket of the pair has no room: the connections are served on until it has.
func TestPairThatIsFull(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	clients := r.talkers(2)
	must(t, r.loop.Give(end, 0))
	filled := 0
	for err := error(nil); err == nil; filled++ {
		err = r.loop.heirs[0].transmit(make([]byte, 32<<10), nil)
	}
	r.drain(r.now + int64(time.Hour))
	for range 3 {
		r.pass(heirPause + wheelTick)
		if r.loop.patience() == 0 {
			t.Fatal("the loop does not sleep")
		}
		for _, c := range clients {
			c.ask("b")
		}
	}
	buffer := make([]byte, 64<<10)
	for range filled - 1 {
		_, _, err := unix.Recvfrom(s.fd, buffer, unix.MSG_DONTWAIT)
		must(t, err)
	}
	r.pass(heirPause + wheelTick)
	sequence, items := s.parcel()
	if sequence != 1 || len(items) != 2 {
		t.Fatalf("parcel %d has %d connections, want the first with 2", sequence, len(items))
	}
	s.say(acknowledgement{sequence, 2}.encode())
	r.untilDrained()
	r.noReports()
	r.expectHandOver(2, 0, 0, 0)
}

// Without an heir the connections stay until the deadline is near.
func TestHeirlessLoopServesOn(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	c := r.talkers(1)[0]
	must(t, r.loop.Give(end, 0))
	r.drain(r.now + int64(10*time.Second))
	r.quiet()
	s.close()
	r.quiet()
	c.ask("b")
	if r.loop.Draining() {
		t.Error("it says that it drains while another heir may come")
	}
	r.pass(8 * time.Second)
	c.ask("c")
	r.pass(time.Second + slack)
	if !r.loop.Draining() {
		t.Error("it does not say that it drains although the deadline is near")
	}
	c.expectEnd()
	c.close()
	r.untilDrained()
	r.noReports()
	r.expectHandOver(0, 0, 1, 0)
}

// Nobody sets a deadline: nobody waits for another heir.
func TestHeirlessLoopWithoutDeadline(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	c := r.talkers(1)[0]
	must(t, r.loop.Give(end, 0))
	r.drain(0)
	r.quiet()
	c.expectOpen()
	s.close()
	c.expectEnd()
	c.close()
	r.untilDrained()
}

// At the deadline what is under way to a silent heir is closed, too.
func TestDeadlineWhileGiving(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{HeaderTimeout: time.Hour})
	_, end := newStranger(t)
	clients := r.talkers(4)
	clients[1].write("half")
	clients[2].write("body")
	r.quiet()
	must(t, r.loop.Give(end, 0))
	r.drain(r.now + int64(2*time.Second))
	r.quiet()
	r.pass(2*time.Second + slack)
	r.untilDrained()
	r.expectHandOver(0, 0, 2, 2)
}
