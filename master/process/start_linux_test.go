package process

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// mustStart starts s. At the end of the test the whole process group is killed,
// waited for and forgotten, and the pipes are closed.
func mustStart(t testing.TB, s Spec) *Process {
	t.Helper()
	if s.Env == nil {
		s.Env = Inheritable(os.Environ())
	}
	s.Env = append(s.Env, commandEnv()...)
	p, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.SignalGroup(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("kill what is left: %v", err)
		}
		p.Wait()
		reapGroup(t, p)
		for _, f := range []io.Closer{p, p.Stdout, p.Stderr} {
			if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Errorf("close: %v", err)
			}
		}
	})
	return p
}

// reapGroup waits for what has outlived its worker: prepare made it our child.
func reapGroup(t testing.TB, p *Process) {
	t.Helper()
	for {
		_, err := unix.Wait4(-p.PID(), nil, 0, nil)
		if errors.Is(err, unix.ECHILD) {
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatalf("wait for what outlived the worker: %v", err)
		}
	}
}

// outcome is a finished process, with all that it wrote.
type outcome struct {
	pid            int
	stdout, stderr string
	status         Status
}

// mustRun starts s and waits for its end.
func mustRun(t testing.TB, s Spec) outcome {
	t.Helper()
	p := mustStart(t, s)
	stdout, err := io.ReadAll(p.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := io.ReadAll(p.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return outcome{p.PID(), string(stdout), string(stderr), p.Wait()}
}

// mustSay is the stdout of a program that ends well and is silent on stderr.
func mustSay(t testing.TB, s Spec) string {
	t.Helper()
	got := mustRun(t, s)
	if got.stderr != "" || got.status != (Status{}) {
		t.Fatalf("%q ended with %v, stderr %q", s.Program, got.status, got.stderr)
	}
	return got.stdout
}

func shell(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "sh"}, args...)
}

// mustListen opens a socket on the runtime's poller and gives its raw number.
func mustListen(t testing.TB) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, rawFD(t, l.(*net.TCPListener))
}

func rawFD(t testing.TB, c interface {
	SyscallConn() (syscall.RawConn, error)
}) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := -1
	if err := raw.Control(func(fd uintptr) { number = int(fd) }); err != nil {
		t.Fatal(err)
	}
	return number
}

func TestStartGivesTheWorkerItsEnvironment(t *testing.T) {
	t.Parallel()
	_, first := mustListen(t)
	_, second := mustListen(t)
	got := mustRun(t, Spec{
		Program:    showEnv,
		Env:        []string{"PATH=" + os.Getenv("PATH"), "KEPT=yes", "LISTEN_PID=1", "LISTEN_FDS=77", "PREFORK_SLOT=99", "PREFORK_SIBLING_FDS=true"},
		Listeners:  []Listener{{FD: first, Name: "web"}, {FD: second, Name: "admin"}},
		Siblings:   []int{second, first},
		IPC:        os.Stdin,
		Slot:       2,
		Generation: 3,
	})
	want := strings.Join([]string{
		"KEPT=yes",
		"LISTEN_FDNAMES=web:admin",
		"LISTEN_FDS=2",
		"LISTEN_PID=" + strconv.Itoa(got.pid),
		"PREFORK_GENERATION=3",
		"PREFORK_IPC=7",
		"PREFORK_SIBLING_FDS=5,6",
		"PREFORK_SLOT=2",
		"",
	}, "\n")
	if got.stdout != want {
		t.Errorf("got\n%s\nwant\n%s", got.stdout, want)
	}
}

// showEnv shows what the kernel passed on, doubles included, which env(1) hides.
var showEnv = shell(`tr "\0" "\n" </proc/$$/environ | grep -E "^(LISTEN_|PREFORK_|KEPT)" | sort`)

func TestStartWithoutSocketsSetsNoVariablesForThem(t *testing.T) {
	t.Parallel()
	got := mustSay(t, Spec{Program: showEnv, Env: append(os.Environ(), "PREFORK_SIBLING_FDS=true")})
	if want := "PREFORK_GENERATION=0\nPREFORK_SLOT=0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStartPassesExactlyTheDescriptorsOfTheSpec(t *testing.T) {
	t.Parallel()
	_, fd := mustListen(t)
	_, sibling := mustListen(t)
	ipc, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = ipc.Close(), theirs.Close() }()
	// A careless launcher leaves descriptors open in the master. This one stands
	// just behind what the worker gets.
	leak, err := unix.FcntlInt(0, unix.F_DUPFD, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(leak) }()
	listeners := slices.Repeat([]Listener{{FD: fd, Name: "0"}}, leak-firstListener-2)

	got := mustSay(t, Spec{
		Program:   shell(`find /proc/$$/fd -type l -printf "%f %l\n"; :`),
		Listeners: listeners,
		Siblings:  []int{sibling},
		IPC:       theirs,
	})
	want := []string{"0 /dev/null", "1 pipe:", "2 pipe:"}
	for i := range listeners {
		want = append(want, fmt.Sprintf("%d %s", firstListener+i, target(t, fd)))
	}
	want = append(want, fmt.Sprintf("%d %s", leak-2, target(t, sibling)))
	want = append(want, fmt.Sprintf("%d %s", leak-1, target(t, rawFD(t, theirs))))
	lines := strings.Split(strings.TrimSpace(got), "\n")
	slices.Sort(lines)
	slices.Sort(want)
	if len(lines) != len(want) {
		t.Fatalf("got %q, want %q", lines, want)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("got %q, want %q", lines[i], want[i])
		}
	}
}

func target(t testing.TB, fd int) string {
	t.Helper()
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// A listening socket's O_NONBLOCK is shared by all holders: a start that cleared
// it would hang the event loops of every other worker of the slot.
func TestStartLeavesNonBlockingAlone(t *testing.T) {
	t.Parallel()
	_, fd := mustListen(t)
	ipc, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ipc.Close() }()
	defer func() { _ = theirs.Close() }()
	mustSay(t, Spec{Program: shell(":"), Listeners: []Listener{{FD: fd, Name: "0"}}, IPC: theirs})

	for name, fd := range map[string]int{"listener": fd, "ipc": rawFD(t, theirs)} {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			t.Fatal(err)
		}
		if flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: O_NONBLOCK was cleared", name)
		}
	}
}

func TestStartGivesOutputPipesThatHoldPipeSize(t *testing.T) {
	t.Parallel()
	p := mustStart(t, Spec{Program: shell(":")})
	for _, f := range []*os.File{p.Stdout, p.Stderr} {
		size, err := unix.FcntlInt(uintptr(rawFD(t, f)), unix.F_GETPIPE_SZ, 0)
		if err != nil {
			t.Fatal(err)
		}
		if size != PipeSize && os.Geteuid() == 0 {
			t.Errorf("%s holds %d bytes, want %d", f.Name(), size, PipeSize)
		}
	}
}

func TestStartPutsTheWorkerInItsOwnProcessGroup(t *testing.T) {
	t.Parallel()
	got := mustRun(t, Spec{Program: shell(`cut -d" " -f5 /proc/$$/stat`)})
	if want := strconv.Itoa(got.pid) + "\n"; got.stdout != want {
		t.Errorf("process group %q, want %q", got.stdout, want)
	}
}

func TestStartBlocksNoSignal(t *testing.T) {
	t.Parallel()
	got := mustSay(t, Spec{Program: []string{"grep", "SigBlk", "/proc/self/status"}})
	if want := "SigBlk:\t0000000000000000\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A shell starts what stands before a & with SIGINT ignored; a stop-signal must
// not be lost on a worker for that.
func TestStartIgnoresNoSignal(t *testing.T) {
	signal.Ignore(unix.SIGUSR2)
	defer signal.Reset(unix.SIGUSR2)
	got := mustRun(t, Spec{Program: shell("grep SigIgn /proc/$$/status")})
	if want := "SigIgn:\t0000000000000000\n"; got.stdout != want {
		t.Errorf("got %q, want %q", got.stdout, want)
	}
}

func TestStartNamesOurOwnWorkers(t *testing.T) {
	t.Parallel()
	got := mustSay(t, Spec{Program: impersonate(t, "say-args", "a", "b"), Slot: 2, Generation: 3})
	if want := `["prefork: worker slot=2 generation=3" "say-args" "a" "b"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func sayArgs([]string) int {
	fmt.Printf("%q", os.Args)
	return 0
}

func TestStartPassesArgumentsAsTheyAre(t *testing.T) {
	t.Parallel()
	args := []string{"", "two words", "not UTF-8 \xff\xfe", "line\nfeed", strings.Repeat("x", 100_000)}
	got := mustSay(t, Spec{Program: shell(`printf "%s\0" "$@"`, args...)})
	if want := strings.Join(args, "\x00") + "\x00"; got != want {
		t.Errorf("got %.80q, want %.80q", got, want)
	}
}

func TestStartLooksTheProgramUpInTheWorkersPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "my-server"), "#!/bin/sh\necho from $0 in $(pwd)\n", 0o755)
	got := mustSay(t, Spec{
		Program: []string{"my-server"},
		Env:     []string{"PATH=/nowhere:" + dir + ":/usr/bin:/bin"},
		Dir:     "/proc",
	})
	if want := "from " + dir + "/my-server in /proc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStartRefusesABadSpec(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec Spec
		want string
	}{
		"no program":    {Spec{}, "no program given"},
		"empty name":    {Spec{Program: []string{""}}, "no program given"},
		"colon":         {Spec{Program: []string{"x"}, Listeners: []Listener{{Name: "a:b"}}}, `listener name "a:b"`},
		"unnamed":       {Spec{Program: []string{"x"}, Listeners: []Listener{{}}}, `listener name ""`},
		"long name":     {Spec{Program: []string{"x"}, Listeners: []Listener{{Name: strings.Repeat("x", 256)}}}, "listener name"},
		"line feed":     {Spec{Program: []string{"x"}, Listeners: []Listener{{Name: "a\nb"}}}, `"a\nb"`},
		"too many":      {Spec{Program: []string{"x"}, Listeners: make([]Listener, listenersMax+1)}, "at most 512"},
		"too many more": {Spec{Program: []string{"x"}, Siblings: make([]int, listenersMax+1)}, "at most 512"},
		"NUL":           {Spec{Program: []string{"x", "a\x00b"}}, "invalid argument"},
		"closed fd":     {Spec{Program: []string{"x"}, Listeners: []Listener{{FD: 99_999, Name: "0"}}}, "bad file descriptor"},
		"long argument": {Spec{Program: []string{"x", strings.Repeat("x", 1<<20)}}, "argument list too long"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.spec.Slot = 7
			p, err := Start(test.spec)
			if p != nil || err == nil {
				t.Fatalf("got a process and error %v", err)
			}
			if got := err.Error(); !strings.HasPrefix(got, "start worker slot=7 generation=0: ") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want it to say %q", got, test.want)
			}
			if Temporary(err) {
				t.Errorf("%v counts as temporary", err)
			}
		})
	}
}

// A start needs about ten free descriptors for a moment. Whichever of them is
// the first that is not there, the error is temporary and nothing stays open.
func TestStartWithoutFreeDescriptorsIsTemporary(t *testing.T) {
	t.Parallel()
	if got := mustSay(t, Spec{Program: impersonate(t, "starving-master")}); got != "ok" {
		t.Errorf("got %q, want ok", got)
	}
}

func starvingMaster([]string) int {
	// The runtime makes its poller on first use and dies when it cannot. A master
	// has had its poller for long when descriptors run out.
	read, write, err := os.Pipe()
	if err != nil {
		fmt.Print(err)
		return 1
	}
	defer func() { _, _ = read.Close(), write.Close() }()

	const enough = 16
	for spare := range enough {
		err := startWithSpare(spare)
		switch {
		case err == nil && spare >= 6: // null, two pipes and IPC alone are six
			fmt.Print("ok")
			return 0
		case err == nil || !errors.Is(err, unix.EMFILE) || !Temporary(err):
			fmt.Printf("with %d spare descriptors: %v\n", spare, err)
		}
	}
	return 0
}

// startWithSpare starts a process while only that many descriptors are free.
func startWithSpare(spare int) error {
	before := countFDs()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		return err
	}
	filler := fillDescriptors()
	for _, fd := range filler[:spare] {
		_ = unix.Close(fd)
	}
	p, err := Start(Spec{Program: []string{"/bin/true"}, IPC: os.Stdin})
	for _, fd := range filler[spare:] {
		_ = unix.Close(fd)
	}
	if err == nil {
		p.Wait()
		_, _, err = p.Stdout.Close(), p.Stderr.Close(), p.Close()
	}
	if after := countFDs(); after != before {
		return fmt.Errorf("%d descriptors were open before, %d after", before, after)
	}
	return err
}

func countFDs() int {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(open)
}

func fillDescriptors() (filler []int) {
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return filler
		}
		filler = append(filler, fd)
	}
}

func TestTemporary(t *testing.T) {
	t.Parallel()
	for _, err := range []error{unix.EAGAIN, unix.ENOMEM, unix.ENFILE, unix.EMFILE} {
		if !Temporary(fmt.Errorf("start: %w", err)) {
			t.Errorf("%v: got permanent, want temporary", err)
		}
	}
	for _, err := range []error{nil, unix.ENOENT, unix.E2BIG, errors.New("other")} {
		if Temporary(err) {
			t.Errorf("%v: got temporary, want permanent", err)
		}
	}
}

// Go raises its own soft limit, and a program that uses select(2) breaks with
// descriptors above 1,023: the worker gets what the master was started with.
func TestStartRestoresTheOriginalLimitOfOpenFiles(t *testing.T) {
	t.Parallel()
	master := testproc.ImpersonateArgv(t, "limited-master")
	launcher := shell(`ulimit -Sn 300 && ulimit -Hn 700 && exec "$@"`, master...)
	out, err := exec.Command(launcher[0], launcher[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := string(out), "300 700\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func limitedMaster([]string) int {
	return showWorker(Spec{Program: shell(`echo $(ulimit -Sn) $(ulimit -Hn)`)})
}

// showWorker starts s and shows what it writes; a small master for tests.
func showWorker(s Spec) int {
	s.Env = os.Environ()
	p, err := Start(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, f := range []*os.File{p.Stdout, p.Stderr} {
		if _, err := io.Copy(os.Stdout, f); err != nil {
			return 1
		}
	}
	return p.Wait().Code
}

// An upgrade on disk must not mix two versions in one service.
func TestStartRunsTheMastersImageEvenWhenItsFileIsGone(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "prefork")
	content, err := os.ReadFile(Self)
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, image, string(content), 0o755)
	master := testproc.ImpersonateArgv(t, "deleted-master")
	out, err := exec.Command(image, master[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := string(out), `["prefork: worker slot=0 generation=0" "say-args"]`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func deletedMaster([]string) int {
	path, err := os.Executable()
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return showWorker(Spec{Program: []string{Self, "say-args"}})
}

func mustWrite(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func TestInheritableLeavesOutWhatIsTheMastersOwn(t *testing.T) {
	t.Parallel()
	got := Inheritable([]string{
		"PATH=/bin", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=1", "LISTEN_PID=1", "LISTEN_FDS=1",
		"LISTEN_FDNAMES=a", "TABLEFLIP_HAS_PARENT_7DIU3=yes", "PREFORK_WORKERS=4", "NOTIFY_SOCKETS=kept", "HOME=",
	})
	if want := []string{"PATH=/bin", "NOTIFY_SOCKETS=kept", "HOME="}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
