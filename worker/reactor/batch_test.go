package reactor

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connectMany returns clients whose connections rest.
func (r *rig) connectMany(n int) []*client {
	r.t.Helper()
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = r.connect()
		clients[i].write("hello\n")
		clients[i].expect("hello\n")
	}
	r.quiet()
	r.handled = nil
	return clients
}

// ask lets all clients write before the loop looks.
func ask(clients []*client, messages ...string) {
	for i, message := range messages {
		if n := clients[i].offer([]byte(message)); n != len(message) {
			clients[i].r.t.Fatalf("client %d has written %d of %d bytes", i, n, len(message))
		}
	}
}

// Whatever its neighbours bring, each connection gets its own answers.
func TestBatchAnswersEachItsOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	long := strings.Repeat("y", 2*pieceMax+100) + "\n"
	full := strings.Repeat("z", pieceMax-1) + "\n"
	cases := []struct{ message, want string }{
		{"a\n", "a\n"},
		{"b\nc\n", "b\nc\n"},
		{"panic\n", ""},
		{"half", ""},
		{"d\npanic\n", "d\n"},
		{long, long},
		{full, full},
		{"silence\n", ""},
		{"big 100000\n", big(100_000)},
		{"lie\n", ""},
		{"close\n", "bye\n"},
		{strings.Repeat("many\n", 3*messagesPerTurnMax), strings.Repeat("many\n", 3*messagesPerTurnMax)},
		{"big 70000\n", big(70_000)},
		{"last\n", "last\n"},
	}
	clients := r.connectMany(len(cases))
	r.loop.batch.width = batchMax
	for i, c := range cases {
		ask(clients[i:], c.message)
	}
	r.quiet()
	for i, c := range cases {
		clients[i].expect(c.want)
	}
	ask(clients[3:], " and half\n")
	clients[3].expect("half and half\n")
	for i, c := range cases {
		switch strings.TrimSpace(c.message) {
		case "panic", "d\npanic", "lie", "close":
			clients[i].expectEnd()
		default:
			clients[i].expectOpen()
		}
	}
	if len(r.reports) != 3 {
		t.Errorf("%d panics were reported: %v", len(r.reports), r.reports)
	}
}

// Handlers run one after the other before the first answer is sent; a batch is bounded.
func TestBatchIsServedTogether(t *testing.T) {
	t.Parallel()
	var r *rig
	var clients []*client
	var atOnce []int // for each message, how many were handled and not answered when it came
	handler := handlerFunc(func(in, out []byte) (int, []byte, Phase) {
		answered := 0
		for _, c := range clients {
			c.poll()
			answered += strings.Count(c.received.String(), "\n")
		}
		if len(out) > 0 {
			r.t.Errorf("the handler sees another one's answer %q", out)
		}
		atOnce = append(atOnce, len(r.handled)-answered)
		r.handled = append(r.handled, "")
		return len(in), append(out, in...), Idle
	})
	r = newRig(t, Config{NewHandler: func() Handler { return handler }})
	clients = r.connectMany(batchMax + 4)
	atOnce = nil
	r.loop.batch.width = batchMax
	messages := make([]string, len(clients))
	for i := range messages {
		messages[i] = fmt.Sprintf("%d\n", i)
	}
	ask(clients, messages...)
	r.quiet()
	for i, c := range clients {
		c.expect(messages[i])
	}
	if got := slices.Max(atOnce); got != batchMax-1 {
		t.Errorf("at most %d answers waited for their neighbours', want %d", got, batchMax-1)
	}
}

// A slow handler keeps nobody's answer back, but for the batch that it surprises.
func TestSlowHandlersAreServedAlone(t *testing.T) {
	t.Parallel()
	var r *rig
	slow := handlerFunc(func(in, out []byte) (int, []byte, Phase) {
		r.handled = append(r.handled, string(in))
		if bytes.HasPrefix(in, []byte("slow")) {
			r.now += int64(batchTime) + 1
		}
		return len(in), append(out, in...), Idle
	})
	r = newRig(t, Config{NewHandler: func() Handler { return slow }})
	clients := r.connectMany(8)
	askAll := func(what string) {
		ask(clients, slices.Repeat([]string{what}, len(clients))...)
		r.quiet()
		for _, c := range clients {
			c.expect(what)
		}
	}
	askAll("quick\n")
	if got := r.loop.batch.width; got < len(clients)/2 {
		t.Errorf("with quick handlers %d are served together", got)
	}
	askAll("slow\n")
	if got := r.loop.batch.width; got != 1 {
		t.Errorf("with slow handlers %d are served together", got)
	}
	askAll("quick\n")
	if got := r.loop.batch.width; got != 1 {
		t.Errorf("right after slow handlers %d are served together", got)
	}
	r.pass(narrowTime)
	askAll("quick\n")
	if got := r.loop.batch.width; got < 2 {
		t.Errorf("%v after the last slow handler %d are served together", narrowTime, got)
	}
}

// What is left in the loop's buffer when many bring much is read in the next turn.
func TestBatchWithALittleInput(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{MaxInput: pieceMax + pieceMax/2})
	message := strings.Repeat("x", pieceMax-1) + "\n"
	clients := r.connectMany(batchMax)
	r.loop.batch.width = batchMax
	ask(clients, slices.Repeat([]string{message}, batchMax)...)
	for _, c := range clients {
		c.expect(message)
	}
}

// The last answer and the end of the stream arrive in one segment.
func TestEndTravelsWithTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	for range 50 { // until the kernels acknowledge by answers
		c.write("a\n")
		c.expect("a\n")
	}
	before := c.segmentsIn()
	c.write("close\n")
	c.expect("bye\n")
	c.expectEnd()
	if got := c.segmentsIn() - before; got != 1 {
		t.Errorf("an answer and an end took %d segments", got)
	}
}

// segmentsIn counts what the kernel has received for the connection (tcp(7), TCP_INFO).
func (c *client) segmentsIn() uint32 {
	c.r.t.Helper()
	info, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	must(c.r.t, err)
	return info.Segs_in
}

func TestBatchAdapts(t *testing.T) {
	t.Parallel()
	b := newBatch()
	for _, step := range []struct {
		took  time.Duration
		now   time.Duration
		width int
	}{
		{0, 1, 2}, {batchTime, 2, 4}, {0, 3, 8}, {0, 4, 16}, {0, 5, batchMax},
		{batchTime + 1, 6, 1}, {0, 7, 1}, {0, 5 + narrowTime, 1}, {0, 6 + narrowTime, 2},
	} {
		if b.adapt(step.took, int64(step.now)); b.width != step.width {
			t.Errorf("after a batch of %v at %v: width %d, want %d", step.took, step.now, b.width, step.width)
		}
	}
}
