package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// A test plays the master of real workers, which are this binary once more. It
// starts as an exec step, because only a process itself knows its LISTEN_PID.
const envExecStep = "PREFORK_TEST_EXEC_STEP"

// envProgram names the program, one of programs, that a worker is; without it the
// worker is the built-in one.
const envProgram = "PREFORK_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Arg {
		if name, set := os.LookupEnv(envProgram); set {
			Main(programs[name])
		}
		os.Exit(Live(BuiltIn))
	}
	if os.Getenv(envExecStep) != "" {
		os.Exit(execStep())
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func execStep() int {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, envExecStep) })
	if _, set := os.LookupEnv(envListenPID); !set {
		env = append(env, envListenPID+"="+strconv.Itoa(os.Getpid()))
	}
	err := syscall.Exec("/proc/self/exe", []string{"prefork", Arg}, env)
	fmt.Fprintln(os.Stderr, err)
	return 2
}

// noRaceLinger spares a worker under the race detector a second of sleep at its
// end, which is for reports of other threads.
const noRaceLinger = "GORACE=atexit_sleep_ms=0"

// Long enough for any machine: a limit that is reached is a failure.
const patience = 30 * time.Second

// child is a worker, seen from its master.
type child struct {
	stderr string // path of the file that it writes to
	cmd    *exec.Cmd
	conn   *ipc.Conn
	fd     int // the same end: for what ipc would not send
	board  *ipc.Scoreboard
	bell   *ipc.Bell

	protocol string // what its connections speak, as it says
}

// start starts a worker on a listening socket, as the master does, and says
// nothing to it.
func start(t testing.TB, listener *os.File, env ...string) *child {
	t.Helper()
	mine, theirs := mustSocketpair(t)
	c := &child{fd: mine, board: mustScoreboard(t), bell: mustBell(t)}
	var err error
	if c.conn, err = ipc.Open(mine); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() }) // some tests close it themselves
	c.exec(t, []*os.File{listener, theirs}, append(env, envListenFDs+"=1", ipc.EnvFD+"=4")...)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

// exec starts the worker with files from descriptor 3 on.
func (c *child) exec(t testing.TB, files []*os.File, env ...string) {
	t.Helper()
	c.cmd = exec.Command("/proc/self/exe")
	c.cmd.Env = slices.Concat(os.Environ(), []string{envExecStep + "=1", noRaceLinger}, env)
	c.cmd.ExtraFiles = files
	c.stderr = filepath.Join(t.TempDir(), "stderr")
	stderr, err := os.Create(c.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close() // the worker has its own copy
	c.cmd.Stderr = stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals of a terminal are not for it
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill() // the test has failed already
			_ = c.cmd.Wait()
			t.Logf("stderr of the worker: %s", c.said(t))
		}
	})
}

// standby leads a started worker up to Ready.
func (c *child) standby(t testing.TB, settings ipc.Settings) *child {
	t.Helper()
	if hello, ok := c.receive(t).(ipc.Hello); !ok || hello.PID != int32(c.cmd.Process.Pid) {
		t.Fatalf("first message is %#v, want Hello from %d", hello, c.cmd.Process.Pid)
	}
	c.welcome(t, mustMarshal(t, settings))
	m := c.receive(t)
	ready, ok := m.(ipc.Ready)
	if !ok {
		t.Fatalf("after Welcome comes %#v, want Ready", m)
	}
	c.protocol = ready.Protocol
	return c
}

func (c *child) welcome(t testing.TB, settings []byte) {
	t.Helper()
	welcome := ipc.Welcome{Version: ipc.Version, Slot: 2, Incarnation: 5, Generation: 3, Settings: settings}
	if err := c.conn.Send(welcome, c.board.FD(), c.bell.FD()); err != nil {
		t.Fatal(err)
	}
}

// serving leads a started worker up to Listening.
func (c *child) serving(t testing.TB, settings ipc.Settings) *child {
	t.Helper()
	c.standby(t, settings).send(t, ipc.Serve{})
	c.mustHear(t, ipc.Listening{})
	return c
}

// mustHear checks what the worker says next.
func (c *child) mustHear(t testing.TB, want ...ipc.Message) {
	t.Helper()
	for _, want := range want {
		if got := c.receive(t); got != want {
			t.Fatalf("the worker says %#v, want %#v", got, want)
		}
	}
}

func (c *child) send(t testing.TB, m ipc.Message, fds ...int) {
	t.Helper()
	if err := c.conn.Send(m, fds...); err != nil {
		t.Fatal(err)
	}
}

func (c *child) sendGarbage(t testing.TB) {
	t.Helper()
	if err := unix.Send(c.fd, []byte("no message at all"), unix.MSG_NOSIGNAL); err != nil {
		t.Fatal(err)
	}
}

func (c *child) receive(t testing.TB) ipc.Message {
	t.Helper()
	m, err := c.next(t)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (c *child) next(t testing.TB) (m ipc.Message, err error) {
	t.Helper()
	within(t, "message from the worker", func() { m, _, err = c.conn.Receive() })
	return m, err
}

// mustDrain tells the worker to leave, which it does in good order, having written
// the words to stderr (or nothing).
func (c *child) mustDrain(t testing.TB, words string) {
	t.Helper()
	c.send(t, ipc.Drain{})
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, words)
}

// mustSay checks what the worker says from now on, up to its end.
func (c *child) mustSay(t testing.TB, want ...ipc.Message) {
	t.Helper()
	c.mustHear(t, want...)
	if m, err := c.next(t); err != io.EOF {
		t.Fatalf("the worker says %#v, %v, want the end", m, err)
	}
}

func (c *child) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// mustExit waits for the worker's end and checks its code and that its last
// words are one line with want, or nothing at all where want is empty.
func (c *child) mustExit(t testing.TB, code int, want string) {
	t.Helper()
	var err error
	within(t, "exit of the worker", func() { err = c.cmd.Wait() })
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d (%s), want %d", got, c.cmd.ProcessState, code)
	}
	line := c.said(t)
	if want == "" && line != "" {
		t.Errorf("stderr says %q, want nothing", line)
	}
	if want != "" && (!strings.Contains(line, want) || strings.Count(line, "\n") != 1) {
		t.Errorf("stderr says %q, want one line with %q", line, want)
	}
}

// said is what the worker has written to stderr so far.
func (c *child) said(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(c.stderr)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mustSoonSay waits for a line on stderr of a worker that lives on.
func (c *child) mustSoonSay(t testing.TB, want string) {
	t.Helper()
	eventually(t, "the line "+want, func() bool { return strings.Contains(c.said(t), want) })
}

// counters reads what the worker says about itself.
func (c *child) counters(t testing.TB) ipc.Counters {
	t.Helper()
	counters, err := c.board.Read()
	if err != nil {
		t.Fatal(err)
	}
	return counters
}

// within fails the test when do takes longer than any healthy machine needs.
func within(t testing.TB, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: still waiting after %v", what, patience)
	}
}

// eventually polls what no message announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not so after %v", what, patience)
		}
	}
}

func mustMarshal(t testing.TB, settings ipc.Settings) []byte {
	t.Helper()
	encoded, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func mustScoreboard(t testing.TB) *ipc.Scoreboard {
	t.Helper()
	board, err := ipc.NewScoreboard()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := board.Close(); err != nil {
			t.Error(err)
		}
	})
	return board
}

func mustBell(t testing.TB) *ipc.Bell {
	t.Helper()
	bell, err := ipc.NewBell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bell.Close(); err != nil {
			t.Error(err)
		}
	})
	return bell
}

func mustSocketpair(t testing.TB) (mine int, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], os.NewFile(uintptr(fds[1]), "ipc of a worker")
}
