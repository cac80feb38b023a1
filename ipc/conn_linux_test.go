package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

var helloExample = Hello{MinVersion: MinVersion, MaxVersion: Version, PID: 4242}

func TestConversation(t *testing.T) {
	t.Parallel()
	master, worker := mustPair(t)
	for _, step := range []struct {
		from, to *Conn
		message  Message
	}{
		{worker, master, helloExample},
		{worker, master, Ready{Protocol: "http/1"}},
		{master, worker, Serve{}},
		{worker, master, Listening{}},
		{master, worker, Watch{Slot: 3}},
		{worker, master, Watched{Slot: 3}},
		{master, worker, Drain{Deadline: 99}},
		{worker, master, Leaving{Reason: "SIGTERM"}},
		{worker, master, Left{}},
	} {
		mustSend(t, step.from, step.message)
		if got := mustReceive(t, step.to); !reflect.DeepEqual(got, step.message) {
			t.Errorf("received %#v, want %#v", got, step.message)
		}
	}
}

func TestLargestMessagePasses(t *testing.T) {
	t.Parallel()
	master, worker := mustPair(t)
	settings := bytes.Repeat([]byte("x"), SettingsMax)
	_, write := mustPipe(t)
	mustSend(t, master, Welcome{Version: Version, Settings: settings}, repeated(int(write.Fd()), 2)...)
	m, files := mustReceiveFiles(t, worker)
	closeFiles(files)
	if got := m.(Welcome).Settings; !bytes.Equal(got, settings) {
		t.Errorf("settings changed on the way: %d bytes, want %d", len(got), len(settings))
	}
}

func TestDescriptorTravels(t *testing.T) {
	t.Parallel()
	master, worker := mustPair(t)
	read, write := mustPipe(t)
	mustSend(t, master, Welcome{Version: Version}, repeated(int(write.Fd()), 2)...)
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}

	_, files := mustReceiveFiles(t, worker)
	if len(files) != 2 {
		t.Fatalf("%d files came, want 2", len(files))
	}
	if !closedOnExec(t, int(files[0].Fd())) {
		t.Error("the received descriptor would leak into a child")
	}
	if _, err := files[0].WriteString("through the pipe"); err != nil {
		t.Fatal(err)
	}
	closeFiles(files)
	got, err := io.ReadAll(read) // ends, because both write ends are closed
	if want := "through the pipe"; err != nil || string(got) != want {
		t.Errorf("the pipe says %q, %v, want %q", got, err, want)
	}
}

// TestWatchBringsAnyNumber of sockets: none, or all that fit.
func TestWatchBringsAnyNumber(t *testing.T) {
	t.Parallel()
	master, worker := mustPair(t)
	_, write := mustPipe(t)
	for _, want := range []int{0, 1, FDsMax} {
		mustSend(t, master, Watch{Slot: 1}, repeated(int(write.Fd()), want)...)
		m, files := mustReceiveFiles(t, worker)
		if m != (Watch{Slot: 1}) || len(files) != want {
			t.Errorf("received %#v with %d files, want %d", m, len(files), want)
		}
		closeFiles(files)
	}
}

// TestReceiveRefuses sends what Send would not, and checks that the descriptors
// that came along are closed: the pipe behind them then ends.
func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	hello := mustAppend(t, helloExample)
	welcome := mustAppend(t, Welcome{Version: Version})
	for _, test := range []struct {
		name   string
		packet []byte
		fds    int
		want   string
	}{
		{"garbage", []byte("\x00\x01garbage"), 0, "shorter than its header"},
		{"garbage with descriptors", []byte("more garbage"), 3, "starts with"},
		{"oversize", make([]byte, MessageMax+1), 0, "more than 65536 bytes"},
		{"oversize with descriptors", make([]byte, MessageMax+1), 2, "more than 65536 bytes"},
		{"hello with a descriptor", hello, 1, "hello with 1 descriptors, not 0"},
		{"welcome without", welcome, 0, "welcome with 0 descriptors, not 2"},
		{"welcome with three", welcome, 3, "welcome with 3 descriptors, not 2"},
		{"as many as the kernel passes", hello, FDsMax, "hello with 253 descriptors"},
		{"descriptors alone", nil, 1, "shorter than its header"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mine, theirs := mustRawPair(t)
			read, write := mustPipe(t)
			mustSendRaw(t, theirs, test.packet, repeated(int(write.Fd()), test.fds))
			if err := write.Close(); err != nil {
				t.Fatal(err)
			}
			m, files, err := mine.Receive()
			if m != nil || files != nil {
				t.Errorf("got %#v and %d files beside an error", m, len(files))
			}
			mustBeViolation(t, err, test.want)
			mustEnd(t, read)
		})
	}
}

// TestReceiveRefusesTruncatedDescriptors needs a process of its own: MSG_CTRUNC
// comes only when its limit of open files is reached.
func TestReceiveRefusesTruncatedDescriptors(t *testing.T) {
	t.Parallel()
	mine, theirs := mustRawPair(t)
	read, write := mustPipe(t)
	const more = 20 // than receiveWithFewDescriptors has room for
	packet := mustAppend(t, Welcome{Version: Version})
	master := mustControl(t, mine)
	if err := unix.Sendmsg(master, packet, unix.UnixRights(repeated(int(write.Fd()), more)...), nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	child := startCommand(t, "receive with few descriptors", theirs)
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, read)
}

func receiveWithFewDescriptors() error {
	conn, err := Open(childFD)
	if err != nil {
		return err
	}
	before, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: uint64(len(before) + 4), Max: uint64(len(before) + 4)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	_, _, err = conn.Receive()
	if err == nil || !strings.Contains(err.Error(), "got lost on the way") {
		return fmt.Errorf("receive: %v, want descriptors that got lost", err)
	}
	after, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	if len(after) != len(before) {
		return fmt.Errorf("%d descriptors open, want %d as before", len(after), len(before))
	}
	return nil
}

func TestSendRefusesWrongDescriptorCounts(t *testing.T) {
	t.Parallel()
	master, _ := mustPair(t)
	mustBeViolation(t, master.Send(Serve{}, 0), "1 descriptors, not 0")
	mustBeViolation(t, master.Send(Welcome{Version: Version}), "0 descriptors, not 2")
	mustBeViolation(t, master.Send(Give{}), "0 descriptors, not 1")
	mustBeViolation(t, master.Send(Take{}, 0, 1), "2 descriptors, not 1")
	mustBeViolation(t, master.Send(Drain{Deadline: -1}), "drain until -1")
}

func TestFullSocketRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	master, worker := mustPair(t)
	const packetsMax = 1 << 20 // the kernel's buffer holds far fewer
	sent := 0
	var err error
	for err == nil && sent < packetsMax {
		if err = master.Send(Drain{Deadline: int64(sent)}); err == nil {
			sent++
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("after %d packets: %v, want ErrFull", sent, err)
	}
	for i := range sent {
		if got, want := mustReceive(t, worker), (Drain{Deadline: int64(i)}); got != want {
			t.Fatalf("packet %d is %#v, want %#v", i, got, want)
		}
	}
	mustSend(t, master, Serve{})
	if got := mustReceive(t, worker); got != (Serve{}) {
		t.Errorf("after the full socket: %#v, want Serve", got)
	}
}

func TestManyWritersOneReader(t *testing.T) {
	t.Parallel()
	master, worker := mustPair(t)
	const writers, each = 8, 16 // small messages fit the default socket buffer up to 278
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for i := range each {
				if err := worker.Send(Leaving{Reason: fmt.Sprintf("%d/%d", writer, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make([]int, writers) // packets of one writer keep their order
	for range writers * each {
		var writer, i int
		reason := mustReceive(t, master).(Leaving).Reason
		if _, err := fmt.Sscanf(reason, "%d/%d", &writer, &i); err != nil || next[writer] != i {
			t.Fatalf("received %q, want %d/%d (%v)", reason, writer, next[writer], err)
		}
		next[writer]++
	}
	group.Wait()
}

func TestPeerClosed(t *testing.T) {
	t.Parallel()
	master, worker := mustPair(t)
	mustSend(t, worker, Left{})
	if err := worker.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mustReceive(t, master); got != (Left{}) {
		t.Errorf("last words are %#v, want Left", got)
	}
	mustBeEOF(t, master)
	mustBeEOF(t, master) // it stays so
	if err := master.Send(Serve{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Send to a closed peer: %v, want os.ErrClosed", err)
	}
}

// TestLastWordsOfAPeerThatDidNotListen is about ECONNRESET, which the kernel
// reports before the packets that came earlier: see receivePacket.
func TestLastWordsOfAPeerThatDidNotListen(t *testing.T) {
	t.Parallel()
	master, theirs := mustRawPair(t)
	mustSend(t, master, Serve{}) // never read
	child := startCommand(t, "leave after a word", theirs)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := mustReceive(t, master); got != (Left{}) {
		t.Errorf("last words are %#v, want Left", got)
	}
	mustBeEOF(t, master)
}

func leaveAfterAWord() error {
	conn, err := Open(childFD)
	if err != nil {
		return err
	}
	return conn.Send(Left{})
}

func TestPeerKilled(t *testing.T) {
	t.Parallel()
	master, theirs := mustRawPair(t)
	child := startCommand(t, "wait to be killed", theirs)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mustReceive(t, master); got != (Ready{}) {
		t.Fatalf("received %#v, want Ready", got)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	mustBeEOF(t, master)
	if err := child.Wait(); err == nil {
		t.Error("a killed child exited with success")
	}
}

func waitToBeKilled() error {
	conn, err := Open(childFD)
	if err != nil {
		return err
	}
	if err := conn.Send(Ready{}); err != nil {
		return err
	}
	_, _, err = conn.Receive()
	return err
}

func TestCloseEndsReceive(t *testing.T) {
	t.Parallel()
	master, _ := mustPair(t)
	ended := make(chan error)
	go func() {
		_, _, err := master.Receive()
		ended <- err
	}()
	if err := master.Close(); err != nil { // before or while Receive waits: both must end it
		t.Fatal(err)
	}
	within(t, "receive on a closed end", func() {
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("Receive on a closed end: %v, want os.ErrClosed", err)
		}
	})
	if err := master.Send(Serve{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Send on a closed end: %v, want os.ErrClosed", err)
	}
	if err := master.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Close: %v, want os.ErrClosed", err)
	}
}

func TestPairIsClosedOnExec(t *testing.T) {
	t.Parallel()
	mine, theirs := mustRawPair(t)
	if fd := mustControl(t, mine); !closedOnExec(t, fd) {
		t.Error("the master's end would leak into a child")
	}
	if !closedOnExec(t, int(theirs.Fd())) {
		t.Error("the worker's end would leak into another child")
	}
}

func TestOpenPreparesAnInheritedEnd(t *testing.T) {
	t.Parallel()
	_, theirs := mustRawPair(t)
	inherited, err := unix.Dup(int(theirs.Fd())) // without close-on-exec, as a child finds it
	if err != nil {
		t.Fatal(err)
	}
	conn, err := Open(inherited)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	flags, err := unix.FcntlInt(uintptr(inherited), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags are %#x, %v, want O_NONBLOCK", flags, err)
	}
	if !closedOnExec(t, inherited) {
		t.Error("the worker's end would leak into its children")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	read, _ := mustPipe(t)
	stream := mustSocket(t, unix.AF_UNIX, unix.SOCK_STREAM)
	inet := mustSocket(t, unix.AF_INET, unix.SOCK_DGRAM)
	for _, test := range []struct {
		name string
		fd   int
		want string
	}{
		{"negative", -1, "bad file descriptor"},
		{"not open", 1 << 20, "bad file descriptor"},
		{"pipe", int(read.Fd()), "socket operation on non-socket"},
		{"stream socket", stream, "not a Unix SOCK_SEQPACKET"},
		{"internet socket", inet, "not a Unix SOCK_SEQPACKET"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := Open(test.fd)
			if conn != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open(%d) = %v, %v, want an error with %q", test.fd, conn, err, test.want)
			}
		})
	}
}

func mustRawPair(t testing.TB) (*Conn, *os.File) {
	t.Helper()
	mine, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = mine.Close() // some tests close an end themselves
		_ = theirs.Close()
	})
	return mine, theirs
}

func mustPair(t testing.TB) (master, worker *Conn) {
	t.Helper()
	master, theirs := mustRawPair(t)
	fd, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	worker, err = Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = worker.Close() })
	return master, worker
}

func mustSend(t testing.TB, c *Conn, m Message, fds ...int) {
	t.Helper()
	if err := c.Send(m, fds...); err != nil {
		t.Fatal(err)
	}
}

func mustReceive(t testing.TB, c *Conn) Message {
	t.Helper()
	m, files := mustReceiveFiles(t, c)
	if len(files) != 0 {
		t.Fatalf("%#v came with %d files", m, len(files))
	}
	return m
}

func mustReceiveFiles(t testing.TB, c *Conn) (m Message, files []*os.File) {
	t.Helper()
	var err error
	within(t, "receive", func() { m, files, err = c.Receive() })
	if err != nil {
		t.Fatal(err)
	}
	return m, files
}

func mustBeEOF(t testing.TB, c *Conn) {
	t.Helper()
	within(t, "receive the end", func() {
		if m, _, err := c.Receive(); err != io.EOF {
			t.Errorf("Receive = %#v, %v, want io.EOF", m, err)
		}
	})
}

// mustEnd checks that nobody holds the write end of a pipe any more.
func mustEnd(t testing.TB, read *os.File) {
	t.Helper()
	within(t, "the end of the pipe (a descriptor leaked)", func() {
		if n, err := read.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("pipe read = %d, %v, want io.EOF", n, err)
		}
	})
}

func mustPipe(t testing.TB) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = read.Close()
		_ = write.Close() // most tests did so themselves
	})
	return read, write
}

func mustSocket(t testing.TB, domain, kind int) int {
	t.Helper()
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll([]int{fd}) })
	return fd
}

// mustSendRaw is a peer that does not care about the protocol.
func mustSendRaw(t testing.TB, f *os.File, packet []byte, fds []int) {
	t.Helper()
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(int(f.Fd()), packet, rights, nil, unix.MSG_NOSIGNAL); err != nil {
		t.Fatal(err)
	}
}

func mustControl(t testing.TB, c *Conn) (fd int) {
	t.Helper()
	if err := c.raw.Control(func(raw uintptr) { fd = int(raw) }); err != nil {
		t.Fatal(err)
	}
	return fd
}

func closedOnExec(t testing.TB, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.FD_CLOEXEC != 0
}

func repeated(fd, n int) []int {
	fds := make([]int, n)
	for i := range fds {
		fds[i] = fd
	}
	return fds
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
