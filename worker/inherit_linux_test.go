package worker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

func TestRefusesWhatItInherits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		env  []string
		want string
	}{
		{"started by hand", nil, `PREFORK_IPC is not set: "built-in-worker" is for the master, which starts its workers by it; use "prefork run"`},
		{"socket is no number", []string{ipc.EnvFD + "=four"}, `PREFORK_IPC is "four", not the number of a descriptor`},
		{"socket is not open", []string{ipc.EnvFD + "=99"}, "open ipc descriptor 99: getsockopt: bad file descriptor"},
		{"socket is another one", []string{ipc.EnvFD + "=3"}, "not a Unix SOCK_SEQPACKET"},
		{"sockets of another process", []string{ipc.EnvFD + "=4", "LISTEN_FDS=1", "LISTEN_PID=1"}, `LISTEN_PID is "1", but this process is`},
		{"no listening sockets", []string{ipc.EnvFD + "=4"}, `LISTEN_FDS is "", not a number from 1 to 512`},
		{"count of none", []string{ipc.EnvFD + "=4", "LISTEN_FDS=0"}, `LISTEN_FDS is "0"`},
		{"count beyond the limit", []string{ipc.EnvFD + "=4", "LISTEN_FDS=513"}, `LISTEN_FDS is "513"`},
		{"count beyond the sockets", []string{ipc.EnvFD + "=4", "LISTEN_FDS=2"}, "listening socket 2 of 2 (fd 4): this socket does not listen"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, _ := mustListen(t)
			mine, theirs := mustSocketpair(t)
			conn, err := ipc.Open(mine)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() }) // nothing was sent
			var c child
			c.exec(t, []*os.File{listener, theirs}, test.env...)
			if err := theirs.Close(); err != nil {
				t.Fatal(err)
			}
			c.mustExit(t, 1, test.want)
		})
	}
}

func TestInheritedDescriptorsAreClosedOnExec(t *testing.T) {
	t.Parallel()
	listener, _ := mustListen(t)
	c := start(t, listener).standby(t, helloSettings)
	for _, fd := range []int{3, 4} {
		if flags := openFlags(t, c.cmd.Process.Pid, fd); flags&unix.O_CLOEXEC == 0 {
			t.Errorf("descriptor %d of the worker has flags %#o, want O_CLOEXEC", fd, flags)
		}
	}
	c.mustDrain(t, "")
}

// TestSocketsBlockUntilTheyAreServed: a COMMAND's predecessor may be a program that
// wants them so, and nobody who has several in a loop can.
func TestSocketsBlockUntilTheyAreServed(t *testing.T) {
	t.Parallel()
	listener, _ := mustListen(t)
	c := start(t, listener).standby(t, helloSettings)
	blocks := func() bool { return openFlags(t, c.cmd.Process.Pid, 3)&unix.O_NONBLOCK == 0 }
	if !blocks() {
		t.Error("in standby the listening socket does not block any more")
	}
	c.send(t, ipc.Serve{})
	c.mustHear(t, ipc.Listening{})
	if blocks() {
		t.Error("the listening socket blocks while it is served")
	}
	sibling, _ := mustListen(t)
	c.watch(t, neighbour, sibling)
	if flags := openFlags(t, os.Getpid(), int(sibling.Fd())); flags&unix.O_NONBLOCK == 0 {
		t.Error("a sibling's socket blocks while it is watched")
	}
	c.mustDrain(t, "")
}

// TestDropsSiblingsOfTheEnvironment: it is sent them, and what it does not know that
// it has it could not let go of.
func TestDropsSiblingsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	listener, _ := mustListen(t)
	sibling, _ := mustListen(t)
	mine, theirs := mustSocketpair(t)
	c := &child{fd: mine, board: mustScoreboard(t), bell: mustBell(t)}
	var err error
	if c.conn, err = ipc.Open(mine); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() }) // nothing is left to say
	c.exec(t, []*os.File{listener, sibling, theirs}, envListenFDs+"=1", envSiblings+"=4", ipc.EnvFD+"=5")
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	c.standby(t, helloSettings)
	if copies := c.copies(t, sibling); len(copies) > 0 {
		t.Errorf("the worker has the sibling's socket as %v", copies)
	}
	c.mustDrain(t, "")
}

// openFlags reads the flags of another process's descriptor (proc_pid_fdinfo(5)).
func openFlags(t testing.TB, pid, fd int) (flags int) {
	t.Helper()
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if n, _ := fmt.Sscanf(line, "flags: %o", &flags); n == 1 {
			return flags
		}
	}
	t.Fatalf("no flags in %q", info)
	return 0
}
