package listen

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
