package reactor

import (
	"testing"
	"time"
)

// offer has the holder offer its first connection.
func (h *holder) offer(l *Loop, unread string) {
	fd := h.fds[0]
	h.fds = h.fds[1:]
	l.Offer(fd, []byte(unread))
}

// A taker's connections go to a loop with handlers, and the other way round.
func TestOfferToAHandler(t *testing.T) {
	t.Parallel()
	h := &holder{t: t}
	r := newRig(t, Config{Taker: h})
	heir := newTalker(t, Config{})
	heir.now = r.now
	r.beside = []*rig{heir}
	a, b := r.connect(), r.connect()
	r.handOver(heir)
	r.quiet()
	if r.loop.Draining() || r.connections != 2 {
		t.Errorf("draining is %v with %d connections", r.loop.Draining(), r.connections)
	}
	h.offer(r.loop, "")
	h.offer(r.loop, "ha")
	a.ask("a")
	b.write("lf\n")
	b.expect("half\n")
	r.untilDrained()
	r.expectHandOver(2, 0, 0, 0)
	r.noReports()
}

func TestTakerInherits(t *testing.T) {
	t.Parallel()
	h := &holder{t: t}
	r := newTalker(t, Config{})
	heir := newRig(t, Config{Taker: h})
	heir.now = r.now
	r.beside = []*rig{heir}
	clients := r.talkers(2)
	clients[1].write("ha")
	r.quiet()
	r.handOver(heir)
	r.untilDrained()
	if len(h.fds) != 2 || h.unread[0] != "" || h.unread[1] != "ha" || heir.connections != 2 {
		t.Errorf("the taker has %d connections with %q unread, told %d", len(h.fds), h.unread, heir.connections)
	}
	r.noReports()
	heir.expectHandOver(0, 2, 0, 0)
}

// What nobody takes comes back.
func TestOfferInVain(t *testing.T) {
	t.Parallel()
	h := &holder{t: t}
	r := newRig(t, Config{Taker: h})
	c := r.connect()
	expectBack := func(what string) {
		t.Helper()
		r.quiet()
		if len(h.fds) != 1 || r.connections != 1 || h.unread[len(h.unread)-1] != "un" {
			t.Fatalf("%s: the taker has %d connections with %q unread, told %d", what, len(h.fds), h.unread, r.connections)
		}
		c.expectOpen()
	}
	h.offer(r.loop, "un")
	expectBack("no heir")
	s, end := newStranger(t)
	must(t, r.loop.Give(end, 0))
	h.offer(r.loop, "un")
	expectBack("no drain")
	r.drain(r.now + int64(time.Minute))
	r.quiet()
	h.offer(r.loop, "un")
	r.quiet()
	if len(h.fds) != 0 || r.connections != 1 {
		t.Fatalf("%d connections with the taker, %d in all, want it under way", len(h.fds), r.connections)
	}
	sequence, _ := s.parcel()
	s.drop(1)
	s.say(acknowledgement{sequence, 0}.encode())
	expectBack("an heir without descriptors")
	h.offer(r.loop, "un")
	expectBack("an heir that rests")
	r.pass(heirPause + wheelTick)
	h.offer(r.loop, "un")
	r.quiet()
	s.close()
	expectBack("an heir that has died")
	r.noReports()
	r.pass(time.Minute)
	c.expectEnd()
	r.untilDrained()
}

// An heir of some waits for offers.
func TestOfferSome(t *testing.T) {
	t.Parallel()
	h := &holder{t: t}
	r := newRig(t, Config{Taker: h})
	for range 3 {
		r.connect()
	}
	s, end := newStranger(t)
	must(t, r.loop.Give(end, 2))
	r.quiet()
	h.offer(r.loop, "")
	h.offer(r.loop, "")
	h.offer(r.loop, "")
	r.quiet()
	if len(h.fds) != 1 {
		t.Errorf("%d connections came back, want one", len(h.fds))
	}
	sequence, items := s.parcel()
	if len(items) != 2 {
		t.Errorf("%d connections were given, want 2", len(items))
	}
	s.say(acknowledgement{sequence, 2}.encode())
	r.quiet()
	s.expectEnd()

	s, end = newStranger(t)
	must(t, r.loop.Give(end, 2))
	r.quiet()
	r.pass(choiceTime + slack)
	s.expectEnd()
	if r.connections != 1 {
		t.Errorf("%d connections, want 1", r.connections)
	}
}

// At the end of a loop what is offered or under way is closed.
func TestDeadlineWithOffers(t *testing.T) {
	t.Parallel()
	h := &holder{t: t}
	r := newRig(t, Config{Taker: h})
	a := r.connect()
	_, end := newStranger(t)
	must(t, r.loop.Give(end, 0))
	r.drain(r.now + int64(time.Second))
	r.quiet()
	h.offer(r.loop, "")
	r.quiet()
	r.pass(time.Second + slack)
	r.untilDrained()
	a.expectEndAfterwards()
}
