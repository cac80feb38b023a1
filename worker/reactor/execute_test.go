package reactor

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	for _, test := range []struct {
		name   string
		pieces []string
		want   string
	}{ // one after the other on one connection
		{"one message", []string{"a\n"}, "a\n"},
		{"pipelined", []string{"a\nb\nc\n"}, "a\nb\nc\n"},
		{"in pieces", []string{"a", "b", "c\n"}, "abc\n"},
		{"one and a half", []string{"a\nb", "c\n"}, "a\nbc\n"},
		{"longer than a buffer", []string{strings.Repeat("y", 3*bufferSize), "\n"}, strings.Repeat("y", 3*bufferSize) + "\n"},
		{"more than one turn answers", []string{strings.Repeat("z\n", 5*messagesPerTurnMax)}, strings.Repeat("z\n", 5*messagesPerTurnMax)},
		{"longer than the kernel takes", []string{"big 1000000\n"}, big(1000000)},
	} {
		for _, piece := range test.pieces {
			c.write(piece)
			r.quiet()
		}
		c.expect(test.want)
	}
}

// A client that does not read its answers is not read from, and holds no more
// of our memory than one turn's answers.
func TestSlowReaderIsHeldBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	answer := big(100_000)
	request := []byte("big 100000 " + strings.Repeat("x", 10_000) + "\n")
	sent := 0 // bytes
	for taken := -1; taken != 0; {
		taken = 0
		for n := -1; n != 0; taken += n {
			n = c.offer(request[sent%len(request):])
			sent += n
		}
		before := len(r.handled)
		r.quiet()
		taken += len(r.handled) - before
		if sent > 1<<30 {
			t.Fatal("the loop goes on reading although nobody reads its answers")
		}
	}
	if waiting := sent/len(request) - len(r.handled); waiting < 10 {
		t.Errorf("%d requests wait in the kernel; want the loop to leave them there", waiting)
	}
	if held, limit := r.held(), 2*(outputPerTurnMax+len(answer)+readMax); held > limit {
		t.Errorf("the loop holds %d bytes for the client, want %d at most", held, limit)
	}

	// Once it reads, it gets every answer.
	rest := request[sent%len(request):]
	total := (sent/len(request) + 1) * len(answer)
	r.until("all answers have come", func() bool {
		rest = rest[c.offer(rest):]
		c.poll()
		return c.received.Len() >= total || c.end != nil
	})
	if got := c.received.Len(); got != total {
		t.Errorf("got %d bytes, then %v, want %d", got, c.end, total)
	}
}

// Nor does one turn pile up more answers than it can send.
func TestOutputOfOneTurnIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	const size, count = 60_000, 20
	c.write(strings.Repeat("big 60000\n", count))
	r.quiet()
	if held, limit := r.held(), outputPerTurnMax+len(big(size))+bufferSize; held > limit {
		t.Errorf("the loop holds %d bytes for the client, want %d at most", held, limit)
	}
	c.expect(strings.Repeat(big(size), count))
}

// held is the memory that connections hold.
func (r *rig) held() int {
	held := 0
	for c := range r.loop.registry.conns.all() {
		if c.stash != nil {
			held += cap(c.stash.out) + cap(c.stash.in)
		}
	}
	return held
}

// One turn of a pipelining client does not keep another one waiting.
func TestTurnIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	greedy, modest := r.connect(), r.connect()
	r.quiet()
	all := strings.Repeat("greedy\n", 100*messagesPerTurnMax)
	greedy.write(all)
	modest.write("modest\n")
	for !slices.Contains(r.handled, "modest") {
		before := len(r.handled)
		r.turn()
		if got := len(r.handled) - before; got > messagesPerTurnMax+1 {
			t.Fatalf("one turn handled %d messages of two clients, want %d at most", got, messagesPerTurnMax+1)
		}
		if wait := r.loop.patience(); wait != 0 {
			t.Fatalf("the loop would sleep %v although the greedy one is not done", wait)
		}
	}
	if len(r.handled) >= 100*messagesPerTurnMax {
		t.Error("the modest one waited until the greedy one was done")
	}
	greedy.expect(all)
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("a\n", 10*messagesPerTurnMax)
	for _, test := range []struct{ name, sent, want string }{
		{"after a message", "a\n", "a\n"},
		{"after more than one turn answers", many, many},
		{"before a long answer is out", "big 1000000\na\n", big(1000000) + "a\n"},
		{"in the middle of a message", "a\nb", "a\n"},
		{"at once", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{})
			c := r.connect()
			c.write(test.sent)
			c.closeWrite()
			c.expect(test.want)
			c.expectEnd()
			r.until("the connection is forgotten", func() bool { return r.connections == 0 })
		})
	}
}

func TestPanicCostsOneConnection(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, sent, want, reported string }{
		{"panic", "a\npanic\nb\n", "a\n", "as ordered"},
		{"claims more than there is", "a\nlie\nb\n", "a\n", "slice bounds out of range"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{})
			victim, bystander := r.connect(), r.connect()
			victim.write(test.sent)
			victim.expect(test.want)
			victim.expectEnd()
			bystander.write("c\n")
			bystander.expect("c\n")
			if len(r.reports) != 1 {
				t.Fatalf("got reports %v, want one", r.reports)
			}
			var report *PanicError
			if !errors.As(r.reports[0], &report) || !strings.Contains(report.Error(), test.reported) || len(report.Stack) == 0 {
				t.Errorf("got report %v, want a PanicError with a stack and %q", r.reports[0], test.reported)
			}
			victim.close()
			r.until("the victim is forgotten", func() bool { return r.connections == 1 })
		})
	}
}

// A handler that is never satisfied gets MaxInput bytes and no more.
func TestInputIsBounded(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{100, bufferSize, 3 * bufferSize, readMax, 3 * readMax} {
		r := newRig(t, Config{MaxInput: limit})
		c := r.connect()
		line := strings.Repeat("x", limit-2) + "\n"
		c.write(line)
		c.expect(line)
		c.write(strings.Repeat("x", limit-1))
		r.quiet()
		c.expectOpen()
		c.write("x")
		c.expectEnd()
	}
}

// What a client still sends after our last answer must not destroy it: closing
// with unread input would make the kernel send a reset.
func TestCloseWithUnreadInput(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	c.write("close\n" + strings.Repeat("unread", 1<<16))
	c.expect("bye\n")
	c.expectEnd()
	c.write("and more") // into a connection that lingers
	if r.connections != 1 {
		t.Errorf("got %d connections, want 1 that lingers", r.connections)
	}
	c.close()
	r.until("the connection is forgotten", func() bool { return r.connections == 0 })
}

// Whether the kernel has more to read is not known when a read has filled its
// room. Here it has.
func TestCloseWithUnreadInputInTheKernel(t *testing.T) {
	t.Parallel()
	const last = "close now\n"
	r := newRig(t, Config{MaxInput: len(last)})
	c := r.connect()
	c.write(last + "unread")
	c.expect("bye\n")
	c.expectEnd()
}

// Without unread input there is nothing to wait for.
func TestCloseWithoutUnreadInputIsImmediate(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	c.write("close\n")
	c.expect("bye\n")
	r.quiet()
	if r.connections != 0 {
		t.Errorf("got %d connections, want none", r.connections)
	}
	c.expectEnd()
}

func TestResetByClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	c.write("half a line")
	r.quiet()
	must(t, unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	c.close() // sends a reset
	r.until("the connection is forgotten", func() bool { return r.connections == 0 })
}

func TestResetWhileAnswersWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	c.write("big 1000000\n")
	r.quiet()
	must(t, unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	c.close()
	r.until("the connection is forgotten", func() bool { return r.connections == 0 })
}

// What arrives at once is reported once, and all of it must be found: a message and the
// end, more than one read takes, an end while the connection waits for something else.
func TestArrivalsAreReportedOnce(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*readMax) + "\n"
	for _, test := range []struct {
		name, sent, want string
		end              bool
	}{
		{name: "message and end", sent: "a\n", want: "a\n", end: true},
		{name: "nothing but an end", end: true},
		{name: "half a message and an end", sent: "a\nb", want: "a\n", end: true},
		{name: "more than one read takes", sent: long + "a\n", want: long + "a\n"},
		{name: "more than one read takes, and an end", sent: long + "a\n", want: long + "a\n", end: true},
		{name: "more than a turn answers, and an end", sent: strings.Repeat("a\n", messagesPerTurnMax+1), want: strings.Repeat("a\n", messagesPerTurnMax+1), end: true},
		{name: "last message, and more that nobody wants", sent: "close\n" + long, want: "bye\n", end: true},
		{name: "an answer that waits, and an end", sent: "big 1000000\na\n", want: big(1000000) + "a\n", end: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{MaxInput: 4 * readMax})
			c := r.connect()
			c.write("first\n")
			c.expect("first\n") // from here on the poller knows it
			rest := []byte(test.sent)
			for len(rest) > 0 { // without a turn, as long as it fits
				n := c.offer(rest)
				if rest = rest[n:]; n == 0 {
					r.turn()
				}
			}
			if test.end {
				c.closeWrite()
			}
			if test.want != "" {
				c.expect(test.want)
			}
			if test.end {
				c.expectEnd()
				r.until("the connection is forgotten", func() bool { return r.connections == 0 })
			}
		})
	}
}
