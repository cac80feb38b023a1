package reactor

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Idle connections go on with the heir where they were, and the loop ends.
func TestHandOver(t *testing.T) {
	t.Parallel()
	r, heir := newEstate(t, Config{})
	clients := r.talkers(3)
	left := r.handOver(heir)
	r.untilDrained()
	if *left != 1 {
		t.Errorf("left was called %d times, want once", *left)
	}
	for _, c := range clients {
		c.expectOpen()
		c.write("count\n")
		c.expect("2\n")
	}
	r.noReports()
	r.expectHandOver(3, 0, 0, 0)
	heir.expectHandOver(0, 3, 0, 0)
	if heir.connections != 3 || heir.accepted != 0 {
		t.Errorf("the heir has %d connections and accepted %d, want 3 and none", heir.connections, heir.accepted)
	}
}

// Before the drain an heir gets nothing, and what is accepted in the drain goes to it.
func TestHandOverBeginsWithTheDrain(t *testing.T) {
	t.Parallel()
	r, heir := newEstate(t, Config{})
	c := r.talkers(1)[0]
	r.inherit(heir)
	r.quiet()
	c.ask("b")
	if r.given != 0 || r.loop.Draining() {
		t.Errorf("%d given and draining is %v, before the drain", r.given, r.loop.Draining())
	}
	late := r.dial()
	r.drain(0)
	r.until("the heir has both", func() bool { return heir.taken == 2 })
	late.ask("c")
	c.ask("d")
	if got := strings.Join(heir.handled, " "); got != "c d" {
		t.Errorf("the heir has served %q, want c and d", got)
	}
	r.untilDrained()
	r.noReports()
}

// What waits in the queue is accepted, in several turns, and given before it says
// anything.
func TestQueueIsHandedOver(t *testing.T) {
	t.Parallel()
	const waiting = leaveAcceptsPerTurnMax + 10
	r, heir := newEstate(t, Config{})
	for _, c := range r.talkers(waiting) { // their places in the registry are used again
		c.close()
	}
	r.until("they have gone", func() bool { return r.connections == 0 })
	clients := make([]*client, waiting)
	for i := range clients {
		clients[i] = r.dial()
	}
	r.handOver(heir)
	r.untilDrained()
	for _, c := range clients {
		c.ask("a")
	}
	r.expectHandOver(waiting, 0, 0, 0)
}

// Whatever part of a request has come when the loop drains, and wherever its connection
// is when the rest comes, there is one answer.
func TestRequestSplitAroundTheDrain(t *testing.T) {
	t.Parallel()
	const request, want = "first\nsecond\nthird\n", "first\nsecond\nthird\n"
	stages := map[string]func(r, heir *rig){
		"not given yet": func(r, heir *rig) {},
		"under way":     func(r, heir *rig) { r.beside = nil; r.quiet(); r.beside = []*rig{heir} },
		"with the heir": func(r, heir *rig) { r.quiet() },
	}
	for stage, reach := range stages {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			for i := range len(request) + 1 {
				r, heir := newEstate(t, Config{})
				c := r.talkers(1)[0]
				c.write(request[:i])
				r.quiet()
				c.poll()
				r.handOver(heir)
				reach(r, heir)
				c.write(request[i:])
				c.expect(want)
				c.write("count\n")
				c.expect("5\n")
				r.untilDrained()
				r.noReports()
				r.expectHandOver(1, 0, 0, 0)
				c.close()
			}
		})
	}
}

// A client that sends byte by byte, while the loop begins to drain at any of them.
func TestSlowWriterAroundTheDrain(t *testing.T) {
	t.Parallel()
	const request = "slow one\nnext\n"
	for begin := range len(request) {
		r, heir := newEstate(t, Config{})
		c := r.talkers(1)[0]
		for i := range len(request) {
			if i == begin {
				r.handOver(heir)
			}
			c.write(request[i : i+1])
			r.turn()
		}
		c.expect(request)
		r.untilDrained()
		r.noReports()
		c.close()
	}
}

// A client that pipelines more than is served in a turn: what has been read and not
// served travels.
func TestPipelinedRequestsAroundTheDrain(t *testing.T) {
	t.Parallel()
	for turns := range 6 {
		r, heir := newEstate(t, Config{})
		c := r.talkers(1)[0]
		requests := strings.Repeat("a\n", 3*messagesPerTurnMax) + "ha"
		c.offer([]byte(requests))
		r.beside = nil
		for range turns {
			r.turn()
		}
		r.beside = []*rig{heir}
		r.handOver(heir)
		r.until("it is handed over", func() bool { return r.given == 1 })
		c.write("lf\n")
		c.expect(requests + "lf\n")
		if n := len(r.handled) + len(heir.handled); n != 3*messagesPerTurnMax+2 {
			t.Errorf("%d turns: %d lines were served, some of them twice", turns, n)
		}
		r.untilDrained()
		r.noReports()
		c.close()
	}
}

// A client that always has the next request there is handed over all the same.
func TestBusyClientIsHandedOver(t *testing.T) {
	t.Parallel()
	r, heir := newEstate(t, Config{})
	c := r.talkers(1)[0]
	r.handOver(heir)
	for n := 0; r.given == 0; n++ {
		if n > 100 {
			t.Fatal("a connection stays as long as it is busy")
		}
		c.offer([]byte("b\n"))
		r.turn()
	}
	r.quiet()
	c.poll()
	if n := strings.Count(c.received.String(), "b\n"); n == 0 || n != len(r.handled)+len(heir.handled)-1 {
		t.Errorf("%d answers for %d requests", n, len(r.handled)+len(heir.handled)-1)
	}
	r.untilDrained()
}

// Answers that their client has not read go out first.
func TestSlowReaderIsGivenWhenItHasRead(t *testing.T) {
	t.Parallel()
	r, heir := newEstate(t, Config{})
	c := r.talkers(1)[0]
	c.write("big 1000000\n")
	r.quiet()
	r.handOver(heir)
	r.quiet()
	if r.given != 0 {
		t.Fatal("a connection was given with answers pending")
	}
	c.expect(big(1000000))
	r.untilDrained()
	r.expectHandOver(1, 0, 0, 0)
	c.ask("b")
	r.noReports()
}

// A connection is given when its errand has returned.
func TestAwayIsGivenWhenItReturns(t *testing.T) {
	t.Parallel()
	back := make(chan struct{})
	var loop *Loop
	r, heir := newEstate(t, Config{NewHandler: func() Handler {
		return &errandTalk{talk: talk{lineHandler: lineHandler{new([]string)}}, loop: &loop, back: back}
	}})
	loop = r.loop
	c := r.talkers(1)[0]
	c.write("away\nnext")
	r.quiet()
	r.handOver(heir)
	r.quiet()
	if r.given != 0 {
		t.Fatal("a connection was given that is away")
	}
	close(back)
	c.expect("back\n")
	r.untilDrained()
	c.write(" one\n")
	c.expect("next one\n")
	r.expectHandOver(1, 0, 0, 0)
	r.noReports()
}

type errandTalk struct {
	talk
	loop **Loop
	back chan struct{}
}

func (h *errandTalk) Handle(in, out []byte) (consumed int, output []byte, next Phase) {
	if !strings.HasPrefix(string(in), "away\n") {
		return h.talk.Handle(in, out)
	}
	(*h.loop).Lend(func(l *Lent) Result {
		<-h.back
		return Result{Answer: []byte("back\n"), Rest: l.Unread()}
	})
	return len("away\n"), out, Away
}

// Several heirs share.
func TestHeirsShare(t *testing.T) {
	t.Parallel()
	r, first := newEstate(t, Config{})
	second := newTalker(t, Config{})
	r.beside = append(r.beside, second)
	clients := r.talkers(40)
	r.inherit(first)
	r.inherit(second)
	r.drain(0)
	r.untilDrained()
	if first.taken != 20 || second.taken != 20 {
		t.Errorf("%d and %d taken, want 20 each", first.taken, second.taken)
	}
	for _, c := range clients {
		c.ask("b")
	}
	r.noReports()
}

// Who becomes idle later goes to one heir after the other.
func TestHeirsTakeTurns(t *testing.T) {
	t.Parallel()
	r, first := newEstate(t, Config{})
	second := newTalker(t, Config{})
	r.beside = append(r.beside, second)
	clients := r.talkers(4)
	for _, c := range clients {
		c.write("body")
	}
	r.quiet()
	r.inherit(first)
	r.inherit(second)
	r.drain(0)
	for _, c := range clients {
		r.quiet()
		c.write("\n")
		c.expect("body\n")
	}
	r.untilDrained()
	if first.taken != 2 || second.taken != 2 {
		t.Errorf("%d and %d taken, want 2 each", first.taken, second.taken)
	}
}

// A handler that is not Portable, or does not want to pack.
func TestWhatCannotBeHandedOver(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"nothing", "too much"} {
		r, heir := newEstate(t, Config{})
		c := r.talkers(1)[0]
		c.ask("pack " + order)
		r.inherit(heir)
		r.drain(r.now + int64(10*time.Second))
		r.quiet()
		c.ask("b")
		r.pass(8 * time.Second)
		c.ask("c")
		r.expectHandOver(0, 0, 0, 0)
		r.pass(2*time.Second + slack)
		c.expectEnd()
		r.untilDrained()
		r.expectHandOver(0, 0, 1, 0)
		r.noReports()
	}
	r, heir := newEstate(t, Config{NewHandler: func() Handler { return lineHandler{new([]string)} }})
	c := r.talkers(1)[0]
	r.handOver(heir)
	c.expectEnd()
	c.close()
	r.untilDrained()
	r.expectHandOver(0, 0, 1, 0)
}

// What a handler does wrong costs its connection, and no other.
func TestHandlerPanicsWhileGiving(t *testing.T) {
	t.Parallel()
	r, heir := newEstate(t, Config{})
	clients := r.talkers(4)
	clients[1].ask("pack panic")
	clients[2].write("half")
	r.quiet()
	r.handOver(heir)
	clients[3].offer([]byte("panic\n"))
	clients[1].expectEnd()
	clients[3].expectEnd()
	clients[1].close()
	clients[3].close()
	clients[2].write(" and the rest\n")
	clients[2].expect("half and the rest\n")
	clients[0].ask("b")
	r.untilDrained()
	if n := len(r.reports) + len(heir.reports); n != 2 {
		t.Errorf("%d reports, want the two panics: %v, %v", n, r.reports, heir.reports)
	}
	if r.cut+heir.cut != 2 || r.finished != 0 || r.given < 2 {
		t.Errorf("%d and %d cut, %d finished, %d given, want 2 cut and none finished", r.cut, heir.cut, r.finished, r.given)
	}
}

// What one handler packs badly ends the pair, and its connection stays.
func TestHandlerThatPacksBadly(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"badly", "bomb"} {
		r, heir := newEstate(t, Config{})
		clients := r.talkers(3)
		clients[1].ask("pack " + order)
		r.inherit(heir)
		r.drain(r.now + int64(10*time.Second))
		r.quiet()
		r.expectHandOver(1, 0, 0, 0)
		for _, c := range clients {
			c.ask("b")
		}
		if len(r.reports) != 0 || len(heir.reports) != 1 || len(r.loop.heirs) != 0 {
			t.Errorf("reported %v and %v with %d heirs, want one line of the heir's and none", r.reports, heir.reports, len(r.loop.heirs))
		}
	}
}

// A parcel is as long as may be, and no longer.
func TestLongParcels(t *testing.T) {
	t.Parallel()
	r, heir := newEstate(t, Config{MaxInput: 4 * travelMax})
	clients := r.talkers(6)
	long := strings.Repeat("x", travelMax)
	for i, c := range clients {
		c.ask("pack much")
		c.write(long[:travelMax-i%2]) // the most, or one less
	}
	clients[5].write("xx") // a byte too many
	r.quiet()
	r.inherit(heir)
	r.drain(r.now + int64(time.Hour))
	r.until("five are given", func() bool { return r.given == 5 })
	for i, c := range clients[:5] {
		c.write("\n")
		c.expect(long[:travelMax-i%2] + "\n")
	}
	clients[5].write("\n")
	clients[5].expect(long + "x\n")
	r.untilDrained()
	r.expectHandOver(6, 0, 0, 0)
	r.noReports()
}

// Some idle connections, drain or not.
func TestGiveSome(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 7, 300, 1000} {
		const clientsMax = 301
		r, heir := newEstate(t, Config{})
		clients := r.talkers(clientsMax)
		clients[0].write("half")
		r.quiet()
		giving, taking := newPair(t)
		must(t, heir.loop.Take(taking))
		must(t, r.loop.Give(giving, count))
		r.until("the pair ends", func() bool { return len(r.loop.heirs) == 0 && len(heir.loop.givers) == 0 })
		if want := min(count, clientsMax-1); r.given != want || heir.taken != want {
			t.Errorf("%d given and %d taken, want %d", r.given, heir.taken, want)
		}
		clients[0].write("\n")
		clients[0].expect("half\n")
		for _, c := range clients[1:] {
			c.ask("b")
			c.close()
		}
		r.noReports()
	}
}

func TestGiveRefuses(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	end, other := newPair(t)
	if err := r.loop.Give(end, -1); err == nil {
		t.Error("a negative number was taken")
	}
	unix.Close(other)
	for _, give := range []func(int) error{func(fd int) error { return r.loop.Give(fd, 0) }, r.loop.Take} {
		file, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(t, err)
		if give(file) == nil {
			t.Error("a file was taken for a pair")
		}
	}
	r.drain(0)
	r.until("the drain has begun", r.loop.Draining)
	end, other = newPair(t)
	if err := r.loop.Take(end); err == nil {
		t.Error("a draining loop takes connections")
	}
	unix.Close(other)
}
