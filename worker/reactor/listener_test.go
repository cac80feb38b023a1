package reactor

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestClassifyAccept(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want acceptClass
	}{
		{nil, acceptDone},
		{unix.EAGAIN, acceptEmpty},
		{unix.EINTR, acceptNext},
		{unix.ECONNABORTED, acceptNext},
		{unix.EPROTO, acceptNext},
		{unix.EHOSTUNREACH, acceptNext},
		{unix.EPERM, acceptNext},
		{unix.EMFILE, acceptLater},
		{unix.ENFILE, acceptLater},
		{unix.ENOBUFS, acceptLater},
		{unix.ENOMEM, acceptLater},
		{unix.EINVAL, acceptNever},
		{unix.EBADF, acceptNever},
		{unix.ENOTSOCK, acceptNever},
		{unix.EXDEV, acceptLater}, // no accept has ever said that: do not spin
	} {
		if got := classifyAccept(test.err); got != test.want {
			t.Errorf("%v: got class %d, want %d", test.err, got, test.want)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	file, err := os.Open("/dev/null")
	must(t, err)
	defer file.Close()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(socket)
	for _, test := range []struct {
		name string
		fd   int
		want error
	}{
		{"a file", int(file.Fd()), unix.ENOTSOCK},
		{"a socket that does not listen", socket, nil},
		{"nothing", -1, unix.EBADF},
		{"the same one twice", r.listen, unix.EEXIST},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := r.loop.Listen(test.fd)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
		})
	}
}

func TestListenMakesNonBlocking(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fd := listenTCP(t)
	must(t, unix.SetNonblock(fd, false))
	must(t, r.loop.Listen(fd))
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	must(t, err)
	if flags&unix.O_NONBLOCK == 0 {
		t.Error("the listening socket blocks, and with it the loop")
	}
}

// Every connection inherits TCP_NODELAY, and is close-on-exec and
// non-blocking.
func TestAcceptedSocketOptions(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.connect()
	fd := r.loop.registry.conn(r.soleToken()).fd
	noDelay, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY)
	must(t, err)
	status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	must(t, err)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	must(t, err)
	if noDelay == 0 || status&unix.O_NONBLOCK == 0 || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("got TCP_NODELAY %d, status flags %#x, descriptor flags %#x", noDelay, status, flags)
	}
}

// A shortage: nothing is accepted and nothing spins until the pause is over; it
// is reported once, however long it lasts, and once more when it comes back.
func TestPause(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	ls := r.loop.listeners[0]
	ls.pause(unix.EMFILE)
	r.dial()
	r.quiet()
	r.pass(acceptPause - wheelTick)
	if r.accepted != 0 || r.poller.last != 0 {
		t.Fatalf("while accepting pauses: %d accepted, %d events", r.accepted, r.poller.last)
	}
	r.pass(acceptPause + wheelTick)
	r.until("the pause is over", func() bool { return r.accepted == 1 })
	ls.pause(unix.EMFILE)
	r.pass(acceptPause + wheelTick)
	ls.pause(unix.EMFILE) // the same shortage still
	if len(r.reports) != 2 {
		t.Errorf("got reports %v, want one for each of two shortages", r.reports)
	}
}

// A drain takes a pausing socket along.
func TestDrainWhilePaused(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.dial()
	c.write("a\n")
	r.loop.listeners[0].pause(unix.EMFILE)
	left := r.drain(0)
	r.quiet()
	c.expect("a\n")
	if *left != 1 {
		t.Errorf("left was called %d times, want once", *left)
	}
}

// A listening socket that one of its holders shuts down must not keep the loop
// spinning, nor end it.
func TestListenerShutDownByAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	c := r.connect()
	other := listenTCP(t)
	must(t, r.loop.Listen(other))
	must(t, unix.Shutdown(other, unix.SHUT_RDWR))
	r.until("it is reported", func() bool { return len(r.reports) > 0 })
	r.quiet()
	var report *AcceptError
	if len(r.reports) != 1 || !errors.As(r.reports[0], &report) || report.FD != other || report.Paused {
		t.Errorf("got reports %v, want one that names fd %d", r.reports, other)
	}
	c.write("a\n")
	c.expect("a\n")
	// The drain does not trip over it.
	left := r.drain(0)
	c.expectEnd()
	c.close()
	r.untilDrained()
	if *left != 1 {
		t.Errorf("left was called %d times, want once", *left)
	}
}

func TestQueueLength(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	for want := range 3 {
		r2 := r // dial does not turn: the connections stay in the queue
		if got, err := queueLength(r.listen); err != nil || got != want {
			t.Errorf("got %d, %v, want %d", got, err, want)
		}
		r2.dial()
	}
}

// A pause of our own socket costs its place in the line. That is told once, when no
// pause has followed for a while; that of a sibling's never had one to lose.
func TestRequeued(t *testing.T) {
	t.Parallel()
	told := 0
	r := newRig(t, Config{Requeued: func() { told++ }})
	r.help(1, copyOf(t, listenTCP(t)))
	r.loop.listeners[1].pause(unix.EMFILE)
	r.pass(2 * requeuedAfter)
	if told != 0 {
		t.Fatalf("told %d times of a sibling's socket", told)
	}
	for range 3 {
		r.loop.listeners[0].pause(unix.EMFILE)
		r.pass(acceptPause + wheelTick)
	}
	if told != 0 {
		t.Fatalf("told %d times while pauses follow each other", told)
	}
	for range 3 {
		r.pass(requeuedAfter)
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}

// Connections leave some descriptors free, and those who come wait in the queue.
func TestSpareDescriptorsAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.loop.spare = 0 // whatever number a connection gets is too high
	r.connect()
	r.dial()
	r.until("it pauses", func() bool { return len(r.reports) == 1 })
	r.pass(acceptPause + wheelTick)
	r.quiet()
	if r.accepted != 1 {
		t.Errorf("%d accepted, want 1: the others would take spare descriptors", r.accepted)
	}
	r.loop.spare = 1 << 30 // as if many had gone
	r.pass(acceptPause + wheelTick)
	r.until("it is accepted", func() bool { return r.accepted == 2 })
}
