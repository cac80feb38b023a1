package notify

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

func TestOpenMakesAPrivateFile(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	info, err := os.Lstat(s.Path())
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("got mode %v, %v, want a socket of mode 0600", info.Mode(), err)
	}
	var flags int
	err = s.raw.Control(func(fd uintptr) { flags, _ = unix.FcntlInt(fd, unix.F_GETFD, 0) })
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("got flags %#x, %v, want close-on-exec", flags, err)
	}
	if err := s.Chown(os.Getuid(), os.Getgid()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: got %v, want no file", err)
	}
	if err := s.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Close: got %v, want os.ErrClosed", err)
	}
}

func TestOpenReplacesWhatADeadMasterLeft(t *testing.T) {
	t.Parallel()
	dead := mustOpen(t)
	if err := dead.file.Close(); err != nil { // what the kernel does to one that is killed
		t.Fatal(err)
	}
	s, err := Open(dead.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	mustSend(t, s.Path(), "READY=1")
	if m, err := s.Receive(os.Getpid()); err != nil || !m.Ready {
		t.Errorf("got %+v, %v, want ready", m, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	alive := mustOpen(t)
	t.Cleanup(func() { mustClose(t, alive) }) // AFTER the parallel tests below
	tests := map[string]struct{ path, want string }{
		"too long":       {path: "/" + strings.Repeat("x", 107), want: "the path has 108 bytes, and the kernel takes at most 107: choose a shorter folder"},
		"no folder":      {path: filepath.Join(dir, "missing", "a"), want: "its folder is not there"},
		"file as folder": {path: filepath.Join(file, "a"), want: "not a directory"},
		"file":           {path: file, want: "a file that is not a socket stands there: move it away"},
		"zero inside":    {path: dir + "/a\x00b", want: "not the path of a file"},
		"in use":         {path: alive.Path(), want: "another process reads there"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(test.path)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
		})
	}
}

func TestCloseLeavesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	if err := os.Rename(s.Path(), s.Path()+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.Path()); err != nil {
		t.Errorf("the file of somebody else: %v", err)
	}
}

func TestReceiveReturnsWhenClosed(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	ended := make(chan error)
	go func() {
		_, err := s.Receive(os.Getpid())
		ended <- err
	}()
	mustSend(t, s.Path(), "STATUS=shows that the goroutine receives")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := s.Receive(os.Getpid())
		ended <- err
	}()
	mustClose(t, s) // before or while it waits: both must end it
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want os.ErrClosed", err)
	}
	if _, err := s.Receive(os.Getpid()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: got %v, want os.ErrClosed", err)
	}
}

func TestReceiveGoesOnAfterGarbage(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	defer mustClose(t, s)
	for name, test := range map[string]struct{ datagram, want string }{
		"too large": {strings.Repeat("x", MessageMax+1), "more than 4096 bytes"},
		"huge":      {"READY=1\n" + strings.Repeat("x", 100_000), "more than 4096 bytes"},
		"garbage":   {"\xff\xfe\x1b[2J", "no notification"},
		"empty":     {"", "no notification"},
		"zeros":     {"\x00\x00\x00", "zero byte"},
	} {
		mustSend(t, s.Path(), test.datagram)
		_, err := s.Receive(os.Getpid())
		var rejected *RejectedError
		if !errors.As(err, &rejected) || rejected.Sender != os.Getpid() || !strings.Contains(rejected.Reason, test.want) {
			t.Errorf("%s: got %v, want it rejected because %q", name, err, test.want)
		}
		checkLine(t, err.Error(), 300)
	}
	mustSend(t, s.Path(), "READY=1")
	if m, err := s.Receive(os.Getpid()); err != nil || !m.Ready {
		t.Errorf("afterwards: got %+v, %v, want ready", m, err)
	}
}

func TestReceiveClosesDescriptors(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	defer mustClose(t, s)
	for name, test := range map[string]struct {
		datagram string
		count    int
		refused  bool
	}{
		"one":     {"READY=1", 1, true},
		"most":    {"READY=1", fdsMax, true},
		"barrier": {"BARRIER=1", 1, false},
		"garbage": {"garbage", 3, false},
	} {
		ended := sendWithPipe(t, s.Path(), test.datagram, test.count)
		if isClosed(t, ended) {
			t.Errorf("%s: closed before it was received", name)
		}
		m, err := s.Receive(os.Getpid())
		if (err != nil) != (name == "garbage") || (len(m.Refused) > 0) != test.refused {
			t.Errorf("%s: got %+v, %v", name, m, err)
		}
		// A process that another test forks meanwhile has copies until it execs.
		testproc.Await(t, name+": every descriptor to be closed", func() bool { return isClosed(t, ended) })
	}
}

// A process at its limit of open files still hears READY=1.
func TestReceiveAtTheLimitOfOpenFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	result := testproc.Run(t, testproc.Impersonate(t, "crowded", path))
	if result.Code != 0 || !strings.Contains(result.Stdout, "ready, refused 1") {
		t.Errorf("got %s, want ready, refused 1", result)
	}
}

// crowded sends itself a descriptor that it has no room for.
func crowded(args []string) int {
	s, err := Open(args[0])
	if err != nil {
		return complain(err)
	}
	defer s.Close()
	sender, err := newSocket()
	if err != nil {
		return complain(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 4, Max: 4}); err != nil {
		return complain(err)
	}
	// The worker is this process, so that /proc need not be opened.
	err = unix.Sendmsg(sender, []byte("READY=1"), unix.UnixRights(0, 1, 2), &unix.SockaddrUnix{Name: args[0]}, 0)
	if err != nil {
		return complain(err)
	}
	m, err := s.Receive(os.Getpid())
	if err != nil || !m.Ready {
		return complain(err)
	}
	_, _ = io.WriteString(os.Stdout, "ready, refused "+strconv.Itoa(len(m.Refused))+"\n")
	return 0
}

// What the kernel keeps for a reader that does not read is bounded.
func TestUnreadMessagesAreBounded(t *testing.T) {
	t.Parallel()
	s := mustOpen(t)
	defer mustClose(t, s)
	const tooMany = 100_000
	fd := mustSocket(t)
	for range tooMany {
		err := unix.Sendmsg(fd, []byte("WATCHDOG=1"), nil, &unix.SockaddrUnix{Name: s.Path()}, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("the kernel took %d messages that nobody read", tooMany)
}

func TestReceiveAllocatesLittle(t *testing.T) {
	s := mustOpen(t) // not parallel: others would allocate meanwhile
	defer mustClose(t, s)
	const runs, few = 100, 8
	if got := testing.AllocsPerRun(runs, func() {
		mustSend(t, s.Path(), "WATCHDOG=1")
		if m, err := s.Receive(os.Getpid()); err != nil || !m.Watchdog {
			t.Fatalf("got %+v, %v, want a watchdog message", m, err)
		}
	}); got > few {
		t.Errorf("got %v allocations for a message, want %d at most", got, few)
	}
}

func mustOpen(t testing.TB) *Socket {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t testing.TB, s *Socket) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func mustSocket(t testing.TB) int {
	t.Helper()
	fd, err := newSocket()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // nothing depends on it
	return fd
}

// mustSend sends one message from this process.
func mustSend(t testing.TB, path, text string) {
	t.Helper()
	fd, err := newSocket()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte(text), 0, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
}

// sendWithPipe sends count copies of the write end of a pipe along and returns
// its read end, which is at end of file when all of them are closed.
func sendWithPipe(t testing.TB, path, text string, count int) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() }) // it was only looked at
	defer w.Close()
	fds := make([]int, count)
	for i := range fds {
		fds[i] = int(w.Fd())
	}
	err = unix.Sendmsg(mustSocket(t), []byte(text), unix.UnixRights(fds...), &unix.SockaddrUnix{Name: path}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// isClosed tells whether nobody can write to the pipe any more.
func isClosed(t testing.TB, r *os.File) bool {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(r.Fd()), Events: unix.POLLIN}}
	_, err := unix.Poll(poll, 0)
	for err == unix.EINTR {
		_, err = unix.Poll(poll, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return poll[0].Revents&unix.POLLHUP != 0
}
