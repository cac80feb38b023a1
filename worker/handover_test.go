package worker

import (
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// mustPairUp makes what two workers hand connections over by: one end for us, the
// other one to send to a worker.
func mustPairUp(t testing.TB) (mine, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs = os.NewFile(uintptr(fds[0]), "our end"), os.NewFile(uintptr(fds[1]), "their end")
	t.Cleanup(func() {
		_ = mine.Close()
		_ = theirs.Close() // most tests have closed it
	})
	return mine, theirs
}

// sendEnd sends a worker one end of a pair.
func (c *child) sendEnd(t testing.TB, m ipc.Message, theirs *os.File) {
	t.Helper()
	raw, err := theirs.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { c.send(t, m, int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
}

// mustEndPair waits until nobody has the other end any more.
func mustEndPair(t testing.TB, mine *os.File) {
	t.Helper()
	within(t, "the end of the pair", func() {
		if n, err := mine.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the pair says %d bytes, %v, want its end", n, err)
		}
	})
}

func TestEngineThatHandsNothingOver(t *testing.T) { onEachEngine(t, engineThatHandsNothingOver) }

// engineThatHandsNothingOver lets go of the pair, and serves on.
func engineThatHandsNothingOver(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	c := start(t, listener).serving(t, hello)
	for _, m := range []ipc.Message{ipc.Give{}, ipc.Give{Count: 3}, ipc.Take{}} {
		mine, theirs := mustPairUp(t)
		c.sendEnd(t, m, theirs)
		mustEndPair(t, mine)
	}
	mustServe(t, address)
	c.send(t, ipc.Drain{})
	c.mustSay(t, ipc.Left{})
	if said := c.said(t); strings.Count(said, "hands nothing over") != 3 {
		t.Errorf("stderr says %q, want three lines about an engine that hands nothing over", said)
	}
}
