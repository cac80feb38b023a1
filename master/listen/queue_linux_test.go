package listen

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

func TestQueueCountsWhatWaits(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, mustParse(t, "127.0.0.1:0"), 1)
	for want := range 5 {
		if got := mustQueue(t, g.FD(0)); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
		mustDial(t, g)
	}
	accepted, _, err := unix.Accept4(g.FD(0), unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(accepted) }()
	if got := mustQueue(t, g.FD(0)); got != 4 {
		t.Errorf("after an accept: got %d, want 4", got)
	}
}

func TestQueueLimitIsTheMachines(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Skip(err)
	}
	want, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	g := mustOpen(t, mustParse(t, "[::]:0"), 1)
	if _, got, err := Queue(g.FD(0)); err != nil || got != want {
		t.Errorf("got %d (%v), want %d", got, err, want)
	}
}

func TestQueueOfSomethingElse(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, mustParse(t, "127.0.0.1:0"), 1)
	mustDial(t, g)
	accepted, _, err := unix.Accept4(g.FD(0), unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(accepted) }()
	if _, _, err := Queue(accepted); err == nil || !strings.HasSuffix(err.Error(), "does not listen") {
		t.Errorf("a connection: got %v", err)
	}
	if _, _, err := Queue(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: got %v, want %v", err, unix.EBADF)
	}
}

// TestLookoutCountsAll kinds of sockets at once, and again and again.
func TestLookoutCountsAll(t *testing.T) {
	t.Parallel()
	tcp := mustOpen(t, mustParse(t, "127.0.0.1:0"), 2)
	path := testproc.SocketDir(t) + "/web"
	file := mustOpen(t, mustParse(t, "unix:"+path), 1)
	gone := mustOpen(t, mustParse(t, "127.0.0.1:0"), 1)
	if err := unix.Shutdown(gone.FD(0), unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	var l Lookout
	fds := []int{tcp.FD(0), tcp.FD(1), file.FD(0), gone.FD(0)}
	for want := range 4 {
		got := []int{7, 7, 7, 7}
		l.Count(fds, got)
		if got[0]+got[1] != want || got[2] != want || got[3] != 0 {
			t.Errorf("got %v, want %d in the first two, %d, and 0", got, want, want)
		}
		mustDial(t, tcp)
		mustDialUnix(t, path)
	}
}

// TestUndeferBringsSilentClientsToTheQueue within the second that it may take.
func TestUndeferBringsSilentClientsToTheQueue(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, mustParse(t, "127.0.0.1:0"), 1)
	if err := unix.SetsockoptInt(g.FD(0), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30); err != nil {
		t.Fatal(err)
	}
	mustDial(t, g)
	if got := mustQueue(t, g.FD(0)); got != 0 {
		t.Fatalf("%d silent clients are in the queue already", got)
	}
	if err := Undefer(g.FD(0)); err != nil {
		t.Fatal(err)
	}
	testproc.Await(t, "the silent client", func() bool { return mustQueue(t, g.FD(0)) == 1 })
	file := mustOpen(t, mustParse(t, "unix:"+testproc.SocketDir(t)+"/web"), 1)
	if err := Undefer(file.FD(0)); err != nil {
		t.Errorf("a Unix socket, which cannot defer: %v", err)
	}
	if err := Undefer(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: got %v", err)
	}
}
