package worker

import (
	"fmt"
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

// TestHandOver: a client stays on its connection while the worker behind it changes.
func TestHandOver(t *testing.T) {
	t.Parallel()
	hello := helloSettings
	hello.Engine = onReactor
	listener, address := mustListen(t)
	giver := start(t, listener).serving(t, hello)
	other, _ := mustListen(t)
	heir := start(t, other).serving(t, hello)
	kept, half := mustDial(t, address), mustDial(t, address)
	const request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
	kept.write(t, request)
	kept.readAnswer(t)
	half.write(t, request[:20])

	mine, theirs := mustPairUp(t)
	heir.sendEnd(t, ipc.Take{}, mine)
	giver.sendEnd(t, ipc.Give{}, theirs)
	giver.mustDrain(t, "")
	half.write(t, request[20:])
	kept.write(t, request)
	for _, c := range []*client{kept, half} {
		head, body := c.readAnswer(t)
		if want := fmt.Sprintf("pid %d\n", heir.cmd.Process.Pid); !strings.HasSuffix(body, want) {
			t.Errorf("answer %q, want one of the heir, %s", body, want)
		}
		if head.Close {
			t.Errorf("the answer ends the connection: %v", head)
		}
	}
	heir.mustDrain(t, "")
}

// TestEngineThatHandsNothingOver: it lets go of the pair, and serves on.
func TestEngineThatHandsNothingOver(t *testing.T) {
	t.Parallel()
	hello := helloSettings
	hello.Engine = onGoroutines
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
