package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

func TestMain(m *testing.M) {
	os.Exit(testproc.Main(m,
		testproc.Command{Name: "server", Run: runServer, Indirect: true},
		testproc.Command{Name: "idler", Run: runIdler, Indirect: true},
	))
}

// runServer answers on an address. With "family" it first starts an idler in a
// process group of its own; with "silent" it does not listen.
func runServer(args []string) int {
	addr, options := args[0], args[1:]
	for _, option := range options {
		switch option {
		case "family":
			self := []string{os.Args[0], "idler"}
			if _, err := os.StartProcess(self[0], self, &os.ProcAttr{Sys: &syscall.SysProcAttr{Setpgid: true}}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		case "silent":
			fmt.Fprintln(os.Stderr, "no room for a socket")
			return 3
		}
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var set unix.CPUSet
		_ = unix.SchedGetaffinity(0, &set) // an empty set fails the test
		fmt.Fprint(w, set.Count())
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(addr, handler))
	return 1
}

// runIdler ignores what ends its parent, as a worker that hangs does.
func runIdler([]string) int {
	signal.Ignore(unix.SIGTERM, unix.SIGHUP)
	select {}
}

func mustStart(t *testing.T, cores []int, options ...string) *Process {
	t.Helper()
	addr, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(t.Context(), Spec{
		Name: "server", Args: append([]string{os.Args[0], "server", addr}, options...), Cores: cores, Addr: addr,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestStopEndsAllOfASession(t *testing.T) {
	t.Parallel()
	p := mustStart(t, nil, "family")
	members, err := p.Members()
	if err != nil || len(members) != 2 {
		t.Fatalf("members: got %v, %v, want two", members, err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if left, err := p.Members(); err != nil || len(left) != 0 {
		t.Errorf("after Stop: got %v, %v, want nobody", left, err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestOrphansAreFound(t *testing.T) {
	t.Parallel()
	p := mustStart(t, nil, "family")
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	if members, err := p.Members(); err != nil || len(members) != 1 {
		t.Errorf("members of a session whose leader died: got %v, %v, want the idler", members, err)
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	addr, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Spec{Name: "mute", Args: []string{os.Args[0], "server", addr, "silent"}, Addr: addr})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no room for a socket") {
		t.Errorf("got %v, want its exit status and its last words", err)
	}
	if _, err := Start(t.Context(), Spec{Name: "none", Args: []string{"/nowhere/server"}, Addr: addr}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}

func TestCoresAreInherited(t *testing.T) {
	t.Parallel()
	cores, err := Cores()
	if err != nil {
		t.Fatal(err)
	}
	p := mustStart(t, cores[:1])
	response, err := http.Get("http://" + p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "1" {
		t.Errorf("cores of the server: got %s, %v, want 1", body, err)
	}
	if after, err := Cores(); err != nil || len(after) != len(cores) {
		t.Errorf("our own cores after that: got %v, %v, want %v", after, err, cores)
	}
	http.DefaultClient.CloseIdleConnections()
}

// The clock of a process and its ticks in /proc tell the same time.
func TestCPUTimeAgreesWithTicks(t *testing.T) {
	t.Parallel()
	used := func() time.Duration {
		text, err := os.ReadFile("/proc/self/stat")
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		user, err := strconv.Atoi(fields[11])
		if err != nil {
			t.Fatal(err)
		}
		system, err := strconv.Atoi(fields[12])
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(user+system) * 10 * time.Millisecond
	}
	for used() < 50*time.Millisecond { // something to compare
	}
	before := used()
	got, err := CPUTimeOf(os.Getpid())
	after := used()
	const tick = 10 * time.Millisecond // user and system are each rounded down
	if err != nil || got < before-2*tick || got > after+3*tick {
		t.Errorf("got %v, %v, want %v to %v", got, err, before, after)
	}
}

func TestCPUTimeOfNobody(t *testing.T) {
	t.Parallel()
	// Above the kernel's limit of PIDs (2^22).
	if _, err := CPUTimeOf(1 << 23); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("got %v, want %v", err, os.ErrProcessDone)
	}
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	p := mustStart(t, nil)
	got, err := p.Anonymous()
	if err != nil || got < 100<<10 || got > 1<<30 {
		t.Errorf("got %d bytes, %v, want what a small server needs", got, err)
	}
	used, err := p.CPUTime()
	if err != nil || used <= 0 || used > time.Minute {
		t.Errorf("CPU time: got %v, %v, want some", used, err)
	}
}

func TestFindExplains(t *testing.T) {
	t.Parallel()
	missing := Program{Name: "no-such-server", Package: "no-such-package"}
	if _, err := Find(t.Context(), missing, false, io.Discard); err == nil || !strings.Contains(err.Error(), "no-such-server is not installed") {
		t.Errorf("got %v, want that it is not installed", err)
	}
	if path, err := Find(t.Context(), Program{Name: "sh"}, false, io.Discard); err != nil || filepath.Base(path) != "sh" {
		t.Errorf("got %q, %v, want the path of sh", path, err)
	}
}

func TestNginxConfiguration(t *testing.T) {
	t.Parallel()
	n := Nginx{Dir: "/tmp/x", Addr: "127.0.0.1:80", Workers: 3, Reuseport: true, Deferred: true, Body: "say \"hi\"\n"}
	text := n.Configuration()
	for _, part := range []string{"worker_processes 3;", "listen 127.0.0.1:80 reuseport deferred;", `return 200 "say \"hi\"\n";`, "worker_connections 16384;", "pid /tmp/x/nginx.pid;"} {
		if !strings.Contains(text, part) {
			t.Errorf("the configuration lacks %q:\n%s", part, text)
		}
	}
	n.Reuseport, n.Deferred, n.Identify = false, false, true
	if want := `return 200 "hello from slot 0 generation 0 pid $pid\n";`; !strings.Contains(n.Configuration(), want) {
		t.Errorf("with Identify it lacks %q:\n%s", want, n.Configuration())
	}
	if text := n.Configuration(); !strings.Contains(text, "listen 127.0.0.1:80;") {
		t.Errorf("without reuseport and deferred:\n%s", text)
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	for _, fact := range Machine(time.Unix(0, 0)) {
		if fact.Value == "" {
			t.Errorf("%s is empty", fact.Name)
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	var kept tail
	_, _ = kept.Write([]byte(strings.Repeat("a", tailMax))) // never fails
	_, _ = kept.Write([]byte("end"))
	if got := kept.String(); len(got) != tailMax || !strings.HasSuffix(got, "aend") {
		t.Errorf("kept %d bytes that end in %q", len(got), got[len(got)-4:])
	}
}

func TestPlacesAreApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, errA := NewPlace(dir)
	b, errB := NewPlace(dir)
	if errA != nil || errB != nil || a.Dir == b.Dir || filepath.Dir(a.Dir) != dir {
		t.Errorf("got %v (%v) and %v (%v)", a, errA, b, errB)
	}
}

func TestDescriptors(t *testing.T) {
	t.Parallel()
	p := mustStart(t, nil)
	before, err := p.Descriptors()
	if err != nil {
		t.Fatal(err)
	}
	const held = 10 // the connection that found it ready may still be in before
	for range held {
		c, err := net.Dial("tcp4", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := get(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+p.Addr()+"/"); err != nil {
		t.Fatal(err) // answered AFTER they were accepted: the queue has an order
	}
	if after, err := p.Descriptors(); err != nil || after < before+held/2 {
		t.Errorf("with %d connections: got %d, %v, and %d before them", held, after, err, before)
	}
}

func TestRunOn(t *testing.T) {
	t.Parallel()
	cores, err := Cores()
	if err != nil {
		t.Fatal(err)
	}
	ran, err := RunOn(t.Context(), cores[:1], "/bin/sh", "-c", "nproc; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
	if err != nil || string(ran.Output) != "1\n" || ran.CPU <= 0 || ran.CPU > time.Minute {
		t.Errorf("got %q after %s, %v, want 1 core and some time", ran.Output, ran.CPU, err)
	}
	if _, err := RunOn(t.Context(), nil, "/bin/sh", "-c", "echo no room >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v, want what it said", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RunOn(ctx, cores[:1], "/bin/sleep", "60"); err == nil {
		t.Error("after ^C: want an error")
	}
}
