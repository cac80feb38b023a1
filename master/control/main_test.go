package control

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew; then read the diff")

// patience is how long a test waits for what must come. It is no measurement:
// only a failing test ever waits that long.
const patience = 30 * time.Second

// childEnv names the command that this test binary plays as a child process.
const childEnv = "PREFORK_CONTROL_TEST_CHILD"

// childCommands are what children do. Each prints a line when it has got there,
// and stays until its standard input ends or it is killed.
var childCommands = map[string]func(args []string) error{
	"hold":  childHold,
	"serve": childServe,
	"ask":   childAsk,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		os.Exit(playChild(name, os.Args[1:]))
	}
	flag.Parse()
	syscall.Umask(0o022) // else t.TempDir may be a folder that others can write to, which we refuse
	before := openFDs()
	code := m.Run()
	if code == 0 && !isFuzzing() {
		code = checkLeaks(before)
	}
	os.Exit(code)
}

// isFuzzing tells whether the fuzzing engine, which has goroutines and files of
// its own, runs in this process.
func isFuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

func checkLeaks(before int) int {
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if after := openFDs(); after > before {
		fmt.Fprintf(os.Stderr, "file descriptors leaked: %d before the tests, %d after\n", before, after)
		return 1
	}
	return 0
}

// openFDs counts the sockets and files that are open, not Go's own epoll and
// eventfd, which appear at the first network call.
func openFDs() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !slices.Contains([]string{"anon_inode:[eventpoll]", "anon_inode:[eventfd]"}, target) {
			n++
		}
	}
	return n
}

func playChild(name string, args []string) int {
	if err := childCommands[name](args); err != nil {
		fmt.Println(err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent lets go
	return 0
}

func childHold(args []string) error {
	if _, err := TakeLock(args[0]); err != nil {
		return err
	}
	fmt.Println("holds")
	return nil
}

func childServe(args []string) error {
	lock, err := TakeLock(args[0] + ".lock")
	if err != nil {
		return err
	}
	if _, err := Serve(Config{Path: args[0], Lock: lock, Backend: newFakeBackend()}); err != nil {
		return err
	}
	fmt.Println("serves")
	return nil
}

func childAsk(args []string) error {
	_, err := Dial(args[0]).Status(context.Background())
	if err == nil {
		fmt.Println("answered")
	}
	return err
}

// child is this test binary, playing one of childCommands.
type child struct {
	*exec.Cmd
	said string // its first line
}

// startChild waits until the child has said its first line. uid is who it runs as.
func startChild(t *testing.T, uid int, name string, args ...string) *child {
	t.Helper()
	// Through /proc, because another uid may not enter the folder of the binary.
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	if uid != os.Geteuid() {
		if err := os.Chmod("/proc/self/exe", 0o755); err != nil { // a strict umask made it ours alone
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line := make([]byte, 4096)
	n, err := stdout.Read(line)
	if err != nil {
		t.Fatalf("child %s said nothing: %v", name, err)
	}
	return &child{Cmd: cmd, said: string(line[:n])}
}

// kill ends the child as a crash would, and returns when it has gone.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // "signal: killed" is what we want
}

// fakeBackend answers as the test says.
type fakeBackend struct {
	*Hub
	mu      sync.Mutex
	state   string
	asked   []Command
	do      func(ctx context.Context, c Command) (Answer, error)
	atState func(ctx context.Context) error
}

func newFakeBackend() *fakeBackend {
	return &fakeBackend{Hub: NewHub(), state: "serving"}
}

func (b *fakeBackend) Status(ctx context.Context) (Status, error) {
	if b.atState != nil {
		if err := b.atState(ctx); err != nil {
			return Status{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return Status{Name: "web", PID: os.Getpid(), State: b.state}, nil
}

func (b *fakeBackend) Do(ctx context.Context, c Command) (Answer, error) {
	b.mu.Lock()
	b.asked = append(b.asked, c)
	b.mu.Unlock()
	if b.do != nil {
		return b.do(ctx, c)
	}
	return Answer{Result: ResultOK, Generation: 2, Workers: 4}, nil
}

// testServer is a Server on a socket in a folder of its own.
type testServer struct {
	*Server
	path    string
	lock    *Lock
	backend *fakeBackend
	reports chan string
}

func startServer(t *testing.T, backend *fakeBackend, change func(*limits)) *testServer {
	t.Helper()
	path := newSocketPath(t)
	lock := mustLock(t, path+".lock")
	bounds := defaultLimits()
	if change != nil {
		change(&bounds)
	}
	reports := make(chan string, 100)
	server, err := serve(Config{Path: path, Lock: lock, Backend: backend, Report: func(s string) { reports <- s }}, bounds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
	})
	return &testServer{Server: server, path: path, lock: lock, backend: backend, reports: reports}
}

// newSocketPath gives a short path in a folder that does not exist yet.
func newSocketPath(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "prefork") // t.TempDir holds the test's name, too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return filepath.Join(folder, "run", "web.sock")
}

func mustLock(t *testing.T, path string) *Lock {
	t.Helper()
	lock, err := TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	})
	return lock
}

// dial connects without HTTP; the connection fails rather than hang.
func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

// eventually waits for a state that nothing announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

// receive waits for a value that must come.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case v := <-from:
		return v
	case <-deadline.C:
		t.Fatalf("waited %s in vain: %s", patience, what)
		panic("not reached")
	}
}
