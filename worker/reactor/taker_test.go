package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// holder is a Taker that keeps what it is given.
type holder struct {
	t   testing.TB
	fds []int

	unread []string // that came with what was taken over
	short  int      // how often it was cut short
}

func (h *holder) Take(fd int) { h.fds = append(h.fds, fd) }
func (h *holder) Held() int   { return len(h.fds) }

func (h *holder) TakeOver(fd int, unread []byte) {
	h.Take(fd)
	h.unread = append(h.unread, string(unread))
}

func (h *holder) CutShort() {
	h.short++
	for len(h.fds) > 0 {
		h.closeOne()
	}
}

func (h *holder) closeOne() {
	h.t.Helper()
	must(h.t, unix.Close(h.fds[0]))
	h.fds = h.fds[1:]
}

func TestTakerGetsConnections(t *testing.T) {
	t.Parallel()
	h := &holder{t: t}
	r := newRig(t, Config{Taker: h})
	r.connect()
	r.connect()
	if len(h.fds) != 2 || r.connections != 2 || r.accepted != 2 {
		t.Fatalf("taken %d, told %d open and %d accepted, want 2 each", len(h.fds), r.connections, r.accepted)
	}
	for _, fd := range h.fds {
		status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		must(t, err)
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		must(t, err)
		if status&unix.O_NONBLOCK == 0 || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d has status %#x and flags %#x, want O_NONBLOCK and FD_CLOEXEC", fd, status, flags)
		}
	}
	h.closeOne()
	r.turn()
	if r.connections != 1 {
		t.Errorf("told %d open connections, want 1", r.connections)
	}
}

// A drain empties the queue first, says left, and waits for the taker.
func TestDrainWaitsForTaker(t *testing.T) {
	t.Parallel()
	h := &holder{t: t}
	r := newRig(t, Config{Taker: h})
	r.dial()
	r.dial()
	left := r.drain(0)
	r.quiet()
	if *left != 1 || len(h.fds) != 2 {
		t.Fatalf("left was called %d times with %d connections taken, want once with 2", *left, len(h.fds))
	}
	more, err := r.loop.Turn()
	if !more || err != nil {
		t.Errorf("turn with connections held: %v, %v, want more", more, err)
	}
	h.closeOne()
	h.closeOne()
	if more, err = r.loop.Turn(); more || err != nil {
		t.Errorf("turn when all is done: %v, %v, want the end", more, err)
	}
	r.untilDrained()
}

func TestDeadlineCutsTakerShort(t *testing.T) {
	t.Parallel()
	h := &holder{t: t}
	r := newRig(t, Config{Taker: h})
	c := r.connect()
	r.drain(r.now + 1e9)
	r.quiet()
	if h.short != 0 {
		t.Fatal("cut short before the deadline")
	}
	r.pass(2e9)
	if h.short == 0 {
		t.Error("not cut short at the deadline")
	}
	c.expectEnd()
	r.untilDrained()
}

func TestConfigNeedsOneWhoServes(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"nobody": {},
		"both":   {Taker: &holder{t: t}, NewHandler: func() Handler { return nil }},
	} {
		if _, err := New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
