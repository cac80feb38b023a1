package worker

import (
	"fmt"
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

// TestWhatConnectionsSpeak: it is what can be told from outside of whether they can go
// on in another worker.
func TestWhatConnectionsSpeak(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		program string // "": the built-in one
		hello   ipc.Settings
		want    string
	}{
		{hello: ipc.Settings{App: appHello}, want: "http/1"},
		{hello: ipc.Settings{App: appStatic, Root: "."}, want: "http/1"},
		{hello: ipc.Settings{App: appEcho}, want: "go:prefork/worker.test:proto.Echo"},
		{hello: ipc.Settings{App: appHello, Engine: onGoroutines}, want: "http/1"},
		{hello: ipc.Settings{App: appStatic, Engine: onGoroutines, Root: "."}, want: "http/1"},
		{program: "fasthttp", want: "http/1"},
		{program: "http", want: "http/1"},
		{program: "lines"},
		{program: "portable lines", want: "go:prefork/worker.test:*worker.travelling"},
	} {
		t.Run(test.program+test.hello.App+test.hello.Engine, func(t *testing.T) {
			t.Parallel()
			listener, _ := mustListen(t)
			var env []string
			if test.program != "" {
				env = append(env, envProgram+"="+test.program)
			}
			c := start(t, listener, env...).standby(t, test.hello)
			if c.protocol != test.want {
				t.Errorf("it speaks %q, want %q", c.protocol, test.want)
			}
			c.mustDrain(t, "")
		})
	}
}

// handOver has one worker give to another one, and then drain.
func handOver(t testing.TB, from, to *child) {
	t.Helper()
	giving, taking := mustPairUp(t)
	to.sendEnd(t, ipc.Take{}, taking)
	from.sendEnd(t, ipc.Give{}, giving)
	from.send(t, ipc.Drain{Deadline: ipc.Monotonic() + int64(patience)})
}

// TestIdleConnectionsGoOnInAnotherWorker, and so do those with the beginning of a request.
func TestIdleConnectionsGoOnInAnotherWorker(t *testing.T) {
	t.Parallel()
	listener, address := mustListen(t)
	from := start(t, listener).serving(t, helloSettings)
	half := holdRequest(t, from, address)
	idle := mustDial(t, address)
	idle.mustHello(t)
	other, _ := mustListen(t)
	to := start(t, other).serving(t, helloSettings)

	handOver(t, from, to)
	from.mustHear(t, ipc.Left{})
	from.mustSay(t)
	from.mustExit(t, 0, "")
	half.write(t, "st\r\n\r\n")
	idle.write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	for _, client := range []*client{half, idle} {
		head, body := client.readAnswer(t)
		if head.Close {
			t.Errorf("the answer ends the connection: %v", head)
		}
		if !strings.HasSuffix(body, fmt.Sprintf("pid %d\n", to.cmd.Process.Pid)) {
			t.Errorf("the answer is %q, want that of the heir, pid %d", body, to.cmd.Process.Pid)
		}
		client.mustHello(t)
	}

	got := from.counters(t)
	if got.Given != 2 || got.Taken != 0 || got.Finished != 0 || got.Cut != 0 || got.Connections != 0 {
		t.Errorf("who gave counts %+v, want two given and nothing else", got)
	}
	eventually(t, "the heir has counted", func() bool { return to.counters(t).Requests == 4 })
	if got := to.counters(t); got.Taken != 2 || got.Given != 0 || got.Accepted != 0 || got.Connections != 2 {
		t.Errorf("who took counts %+v, want two taken, and none accepted", got)
	}
	to.send(t, ipc.Drain{})
	half.mustEnd(t) // without an heir, as always
	idle.mustEnd(t)
	to.mustSay(t, ipc.Left{})
	to.mustExit(t, 0, "")
}

// TestIdleConnectionsGoOnOnAnotherEngine: between two requests nothing has to be known
// about a connection.
func TestIdleConnectionsGoOnOnAnotherEngine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ from, to string }{
		{onGoroutines, onGoroutines}, {onGoroutines, onReactor}, {onReactor, onGoroutines},
	} {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			t.Parallel()
			listener, address := mustListen(t)
			other, _ := mustListen(t)
			from := start(t, listener).serving(t, ipc.Settings{App: appHello, Engine: test.from})
			to := start(t, other).serving(t, ipc.Settings{App: appHello, Engine: test.to})
			idle := mustDial(t, address)
			idle.mustHello(t)

			handOver(t, from, to)
			from.mustHear(t, ipc.Left{})
			from.mustSay(t)
			from.mustExit(t, 0, "")
			idle.write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
			head, body := idle.readAnswer(t)
			if head.Close || !strings.HasSuffix(body, fmt.Sprintf("pid %d\n", to.cmd.Process.Pid)) {
				t.Errorf("the answer is %q with head %v, want that of the heir, pid %d", body, head, to.cmd.Process.Pid)
			}
			if got := from.counters(t); got.Given != 1 || got.Finished != 0 || got.Cut != 0 || got.Connections != 0 {
				t.Errorf("who gave counts %+v, want one given and nothing else", got)
			}
			if got := to.counters(t); got.Taken != 1 || got.Accepted != 0 || got.Connections != 1 {
				t.Errorf("who took counts %+v, want one taken, and none accepted", got)
			}
			to.mustDrain(t, "")
		})
	}
}

// TestLeaverGivesFirst: a worker that leaves of its own accord closes nothing before its
// master has said to whom it can give.
func TestLeaverGivesFirst(t *testing.T) { onEachEngine(t, leaverGivesFirst) }

func leaverGivesFirst(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	from := start(t, listener).serving(t, hello)
	kept := mustDial(t, address)
	kept.mustHello(t)
	other, _ := mustListen(t)
	to := start(t, other).serving(t, hello)

	from.signal(t, unix.SIGTERM)
	from.mustHear(t, ipc.Leaving{Reason: "SIGTERM"})
	handOver(t, from, to)
	from.mustSay(t, ipc.Left{})
	from.mustExit(t, 0, "")
	kept.mustHello(t)
	if got := to.counters(t); got.Taken != 1 {
		t.Errorf("who took counts %+v, want one taken", got)
	}
	to.send(t, ipc.Drain{})
	kept.mustEnd(t)
	to.mustSay(t, ipc.Left{})
	to.mustExit(t, 0, "")
}

// TestLeaverWhoseMasterIsLost has nobody to wait for.
func TestLeaverWhoseMasterIsLost(t *testing.T) {
	t.Parallel()
	listener, _ := mustListen(t)
	c := start(t, listener).serving(t, helloSettings)
	c.signal(t, unix.SIGTERM)
	c.mustHear(t, ipc.Leaving{Reason: "SIGTERM"})
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	c.mustExit(t, 0, "draining on without a master")
}
