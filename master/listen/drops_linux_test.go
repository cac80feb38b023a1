package listen

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// TestDropsCountWhatTheQueueHasNoRoomFor: a socket whose queue is full counts those
// who come too many, and its sibling in the group does not.
func TestDropsCountWhatTheQueueHasNoRoomFor(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, mustParse(t, "127.0.0.1:0"), 1)
	other := mustOpen(t, mustParse(t, "127.0.0.1:0"), 1)
	if err := unix.Listen(g.FD(0), 2); err != nil { // again, for a queue of two and one more
		t.Fatal(err)
	}
	for range 3 {
		mustDial(t, g)
	}
	before, err := HostDrops()
	if err != nil {
		t.Fatal(err)
	}
	if got := mustDrops(t, g.FD(0)); got != 0 {
		t.Errorf("%d are dropped before the queue is full", got)
	}
	mustBegin(t, g)
	testproc.Await(t, "a drop", func() bool { return mustDrops(t, g.FD(0)) > 0 })
	if got := mustDrops(t, other.FD(0)); got != 0 {
		t.Errorf("another socket counts %d", got)
	}
	if after, err := HostDrops(); err != nil || after <= before {
		t.Errorf("the host counts %d before and %d after, %v", before, after, err)
	}
}

// TestDropsOfOtherSockets: what ends in order is no drop.
func TestDropsOfOtherSockets(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, mustParse(t, "[::]:0"), 1)
	c := mustDial(t, g)
	accepted, _, err := unix.Accept4(g.FD(0), unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), unix.Close(accepted)); err != nil {
		t.Fatal(err)
	}
	if got := mustDrops(t, g.FD(0)); got != 0 {
		t.Errorf("an ordinary connection counts as %d drops", got)
	}
	file := mustOpen(t, mustParse(t, "unix:"+testproc.SocketDir(t)+"/web"), 1)
	if got := mustDrops(t, file.FD(0)); got != 0 {
		t.Errorf("a Unix socket: got %d", got)
	}
	if _, err := Drops(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: got %v", err)
	}
}

// mustBegin begins a connection to the group and waits for nothing.
func mustBegin(t testing.TB, g *Group) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	to := netip.MustParseAddrPort(g.Address())
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
}

func mustDrops(t testing.TB, fd int) uint32 {
	t.Helper()
	n, err := Drops(fd)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
