package reactor

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An heir dies at any moment: what it has not acknowledged is served on, and another
// heir gets it.
func TestHeirDies(t *testing.T) {
	t.Parallel()
	const clientsMax = 2*parcelMax + 100 // a full window, and some
	for _, test := range []struct {
		name         string
		acknowledged int // of the first parcel
		do           func(s *stranger)
	}{
		{"before it reads", 0, func(s *stranger) {}},
		{"before it answers", 0, func(s *stranger) { s.parcel(); s.parcel() }},
		{"after a part", 100, func(s *stranger) {
			sequence, _ := s.parcel()
			s.say(acknowledgement{sequence, 100}.encode())
		}},
		{"after the first parcel", parcelMax, func(s *stranger) {
			sequence, _ := s.parcel()
			s.say(acknowledgement{sequence, parcelMax}.encode())
			s.parcel()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTalker(t, Config{})
			s, end := newStranger(t)
			clients := r.talkers(clientsMax)
			must(t, r.loop.Give(end, 0))
			r.drain(r.now + int64(time.Minute))
			r.quiet()
			test.do(s)
			s.close()
			for _, c := range clients { // in the kernel's hands while nobody is there
				c.offer([]byte("b\n"))
			}
			r.quiet()
			dead := 0
			for _, c := range clients {
				if c.poll(); c.end != nil {
					dead++
					continue
				}
				c.expect("b\n")
			}
			if dead != test.acknowledged || r.given != dead {
				t.Errorf("%d connections died and %d were given, want the %d that were acknowledged", dead, r.given, test.acknowledged)
			}
			r.noReports()
			heir := newTalker(t, Config{})
			r.beside = []*rig{heir}
			r.inherit(heir)
			r.untilDrained()
			for _, c := range clients {
				if c.end == nil {
					c.write("count\n")
					c.expect("3\n")
				}
			}
			r.expectHandOver(clientsMax, 0, 0, 0)
		})
	}
}

// A giver ends before it hears that its connections were taken: they are its own.
func TestGiverEnds(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	must(t, r.loop.Take(end))
	c := newGift(t)
	c.r = r
	s.say(parcelOf(1, item{}), c.gift)
	s.close()
	c.offer([]byte("a\n"))
	r.quiet()
	c.expectOpen()
	if r.taken != 0 || r.connections != 0 || len(r.loop.givers) != 0 {
		t.Errorf("%d taken, %d connections, %d givers, want none", r.taken, r.connections, len(r.loop.givers))
	}
	r.noReports()
	buffer := make([]byte, 10)
	if n, err := unix.Read(c.gift, buffer); string(buffer[:max(n, 0)]) != "a\n" {
		t.Errorf("read %q, %v, want what the client has sent: the connection was touched", buffer[:max(n, 0)], err)
	}
}

// gift is a connection of nobody's loop.
type gift struct {
	client
	gift int // the server's end
}

func newGift(t testing.TB) *gift {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	g := &gift{client{fd: fds[0]}, fds[1]}
	t.Cleanup(func() { g.close(); unix.Close(g.gift) })
	return g
}

func parcelOf(sequence uint32, items ...item) []byte {
	data := appendHeader(nil, parcelMagic, len(items), sequence)
	for _, it := range items {
		data = appendItem(data, it)
	}
	return data
}

// Nothing is read from what was taken before the acknowledgement has gone out.
func TestNothingIsReadBeforeTheAcknowledgement(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	must(t, r.loop.Take(end))
	must(t, unix.SetsockoptInt(end, unix.SOL_SOCKET, unix.SO_SNDBUF, 1)) // the least there is
	var sequence uint32
	var gifts []*gift
	for sequence = 1; len(r.loop.givers) == 1 && !r.loop.givers[0].owing; sequence++ {
		g := newGift(t)
		g.r = r
		gifts = append(gifts, g)
		g.offer([]byte("a\n"))
		s.say(parcelOf(sequence, item{unread: []byte("b")}), g.gift)
		r.quiet()
		if sequence > 1000 {
			t.Fatal("the socket is never full")
		}
	}
	last := gifts[len(gifts)-1]
	last.expectOpen()
	if r.taken != len(gifts)-1 || r.loop.patience() == 0 {
		t.Fatalf("%d of %d taken, and the loop sleeps %v", r.taken, len(gifts), r.loop.patience())
	}
	for _, g := range gifts {
		if g != last {
			g.expect("ba\n")
		}
	}
	for range gifts[1:] {
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 64), unix.MSG_DONTWAIT)
		must(t, err)
	}
	last.expect("ba\n")
	more := newGift(t)
	more.r = r
	s.say(parcelOf(sequence, item{}), more.gift)
	more.ask("c")
	r.noReports()

	t.Run("the giver ends", func(t *testing.T) {
		for len(r.loop.givers) == 1 && !r.loop.givers[0].owing {
			sequence++
			s.say(parcelOf(sequence, item{}), more.gift)
			r.quiet()
		}
		before := r.connections
		s.close()
		r.quiet()
		if r.connections != before-1 || len(r.loop.givers) != 0 {
			t.Errorf("%d connections of %d and %d givers, want one less, and none", r.connections, before, len(r.loop.givers))
		}
	})
	r.noReports()
}

// Garbage from either end ends this hand-over, with one line, and nothing else.
func TestGarbageFromAGiver(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", datagramMax+1)
	good := parcelOf(1, item{phase: Idle})
	for name, test := range map[string]struct {
		data []byte
		fds  int
	}{
		"words":               {[]byte("good morning"), 1},
		"too long":            {[]byte(long), 1},
		"no descriptor":       {good, 0},
		"a descriptor more":   {good, 2},
		"an acknowledgement":  {acknowledgement{1, 1}.encode(), 0},
		"no connection":       {parcelOf(1), 1},
		"cut off":             {good[:len(good)-1], 1},
		"a byte more":         {append(parcelOf(1, item{}), 0), 1},
		"phase":               {parcelOf(1, item{phase: Body}), 1},
		"packed too much":     {parcelOf(1, item{packed: make([]byte, packedMax+1)}), 1},
		"unread too much":     {parcelOf(1, item{unread: make([]byte, travelMax+1)}), 1},
		"not of this program": {parcelOf(1, item{packed: []byte("badly")}), 1},
		"panics":              {parcelOf(1, item{packed: []byte("bomb")}), 1},
		"version":             {append([]byte("PFhp\x02\x00"), good[6:]...), 1},
		"254 connections":     {append([]byte("PFhp\x01\x00\xfe\x00"), good[8:]...), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTalker(t, Config{})
			s, end := newStranger(t)
			must(t, unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 2*datagramMax))
			must(t, r.loop.Take(end))
			c := r.talkers(1)[0]
			g := newGift(t)
			g.r = r
			before := fdsOf(t, g.gift)
			fds := []int{g.gift, g.gift}[:test.fds]
			s.say(test.data, fds...)
			r.quiet()
			if len(r.reports) != 1 || r.taken != 0 || len(r.loop.givers) != 0 {
				t.Errorf("reported %v, took %d, has %d givers, want one report and none", r.reports, r.taken, len(r.loop.givers))
			}
			s.expectEnd()
			if after := fdsOf(t, g.gift); after != before {
				t.Errorf("%d descriptors of the connection are open, %d before", after, before)
			}
			g.expectOpen()
			c.ask("b")
		})
	}
}

// fdsOf counts the descriptors of this process that are the same file as fd.
func fdsOf(t testing.TB, fd int) int {
	t.Helper()
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	must(t, err)
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	count := 0
	for _, entry := range entries {
		if other, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && other == name {
			count++
		}
	}
	return count
}

// What is behind a good beginning stays with the giver.
func TestGoodBeginningOfABadParcel(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	must(t, r.loop.Take(end))
	a, b := newGift(t), newGift(t)
	a.r, b.r = r, r
	s.say(parcelOf(7, item{packed: []byte("41")}, item{packed: []byte("badly")}), a.gift, b.gift)
	a.write("count\n")
	a.expect("42\n")
	b.expectOpen()
	var answer [64]byte
	n, _, err := unix.Recvfrom(s.fd, answer[:], 0)
	must(t, err)
	if a, err := parseAcknowledgement(answer[:n]); err != nil || a.sequence != 7 || a.taken != 1 {
		t.Errorf("answer %+v, %v, want one connection of parcel 7", a, err)
	}
	s.expectEnd()
	if len(r.reports) != 1 {
		t.Errorf("reported %v, want one line", r.reports)
	}
}

func TestGarbageFromAnHeir(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"words":            []byte("good morning"),
		"a parcel":         parcelOf(1, item{}),
		"another parcel's": acknowledgement{2, 1}.encode(),
		"too many":         acknowledgement{1, 3}.encode(),
		"far too many":     acknowledgement{1, 65535}.encode(),
		"a byte more":      append(acknowledgement{1, 2}.encode(), 0),
		"a byte less":      acknowledgement{1, 2}.encode()[:wireHeader-1],
		"version":          append([]byte("PFha\x02\x00"), acknowledgement{1, 2}.encode()[6:]...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTalker(t, Config{})
			s, end := newStranger(t)
			clients := r.talkers(2)
			must(t, r.loop.Give(end, 0))
			r.drain(r.now + int64(time.Minute))
			r.quiet()
			s.say(data)
			r.quiet()
			if len(r.reports) != 1 || r.given != 0 || len(r.loop.heirs) != 0 {
				t.Errorf("reported %v, gave %d, has %d heirs, want one report and none", r.reports, r.given, len(r.loop.heirs))
			}
			s.expectEnd()
			for _, c := range clients {
				c.ask("b")
			}
		})
	}
	t.Run("with descriptors", func(t *testing.T) {
		t.Parallel()
		r := newTalker(t, Config{})
		s, end := newStranger(t)
		g := newGift(t)
		must(t, r.loop.Give(end, 0))
		before := fdsOf(t, g.gift)
		s.say(acknowledgement{1, 1}.encode(), g.gift)
		r.quiet()
		if after := fdsOf(t, g.gift); after != before || len(r.reports) != 1 {
			t.Errorf("%d descriptors, %d before, reported %v", after, before, r.reports)
		}
	})
}

// An heir that comes to its last descriptors takes what it can, says so once, and goes
// on when it has some again.
func TestHeirWithoutDescriptors(t *testing.T) {
	t.Parallel()
	const clientsMax = 600
	r, heir := newEstate(t, Config{})
	clients := r.talkers(clientsMax)
	heir.loop.spare = 0
	r.inherit(heir)
	r.drain(r.now + int64(time.Hour))
	for range 5 {
		r.pass(heirPause + wheelTick)
		if r.given != 0 || len(heir.reports) != 1 || r.loop.patience() == 0 {
			t.Fatalf("%d given, reported %v, sleeps %v", r.given, heir.reports, r.loop.patience())
		}
		for _, c := range clients[:10] {
			c.ask("b")
		}
	}
	if r.loop.Draining() {
		t.Error("it drains although its heir lives")
	}
	heir.loop.spare = 1 << 30
	r.pass(heirPause + wheelTick)
	r.untilDrained()
	for _, c := range clients {
		c.ask("c")
	}
	r.expectHandOver(clientsMax, 0, 0, 0)
	if len(r.reports) > 0 || len(heir.reports) != 1 {
		t.Errorf("reported %v and %v, want one line of the heir's", r.reports, heir.reports)
	}
}

// A poller that takes no more is a shortage, too.
func TestHeirWhosePollerIsFull(t *testing.T) {
	t.Parallel()
	r, heir := newEstate(t, Config{})
	c := r.talkers(1)[0]
	r.inherit(heir)
	heir.poller.full = unix.ENOSPC
	r.drain(r.now + int64(time.Hour))
	r.pass(heirPause + wheelTick)
	c.ask("b")
	if r.given != 0 || heir.connections != 0 {
		t.Errorf("%d given, the heir has %d connections, want none", r.given, heir.connections)
	}
	heir.poller.full = nil
	r.pass(heirPause + wheelTick)
	r.untilDrained()
	c.ask("c")
}

// An heir that begins to drain takes no more, and keeps what it has.
func TestHeirDrains(t *testing.T) {
	t.Parallel()
	r, heir := newEstate(t, Config{})
	third := newTalker(t, Config{})
	r.beside = append(r.beside, third)
	clients := r.talkers(2)
	clients[1].write("body")
	r.quiet()
	r.inherit(heir)
	r.drain(r.now + int64(time.Minute))
	r.until("one is given", func() bool { return r.given == 1 })
	heir.handOver(third)
	r.quiet()
	clients[1].write("\n")
	clients[1].expect("body\n")
	clients[0].ask("b")
	r.expectHandOver(1, 0, 0, 0)
	heir.expectHandOver(1, 1, 0, 0)
	r.inherit(third)
	r.untilDrained()
	for _, c := range clients {
		c.ask("c")
	}
	r.noReports()
}

// A connection that moves has no more time than before, nor that of a worker with other
// timeouts.
func TestDeadlinesTravel(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		left time.Duration
		want time.Duration
	}{
		{"little is left", 2 * time.Second, 2 * time.Second},
		{"all is left", time.Hour, 20 * time.Second},
		{"unknown", 0, 20 * time.Second},
		{"over", -time.Second, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTalker(t, Config{IdleTimeout: 20 * time.Second})
			s, end := newStranger(t)
			must(t, r.loop.Take(end))
			g := newGift(t)
			g.r = r
			it := item{}
			if test.left != 0 {
				it.deadline = r.now + int64(test.left)
			}
			s.say(parcelOf(1, it), g.gift)
			unix.Close(g.gift)
			g.gift = -1
			r.quiet()
			if test.want > 0 {
				r.pass(test.want - time.Second)
				g.expectOpen()
			}
			r.pass(time.Second + slack)
			g.expectEnd()
		})
	}
}

// A descriptor that would block the loop is made not to.
func TestGiftThatBlocks(t *testing.T) {
	t.Parallel()
	r := newTalker(t, Config{})
	s, end := newStranger(t)
	must(t, r.loop.Take(end))
	g := newGift(t)
	g.r = r
	must(t, unix.SetNonblock(g.gift, false))
	s.say(parcelOf(1, item{unread: []byte("a\n")}), g.gift)
	g.expect("a\n")
	g.ask("b")
	flags, err := unix.FcntlInt(uintptr(g.gift), unix.F_GETFL, 0) // of the open file, which is the loop's, too
	must(t, err)
	if flags&unix.O_NONBLOCK == 0 {
		t.Error("the next read of the loop may block")
	}
}
