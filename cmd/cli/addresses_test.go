package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// curlUnix asks by a Unix socket, as people do.
func curlUnix(t *testing.T, path string) testproc.Result {
	t.Helper()
	return testproc.Run(t, exec.Command("curl", "--silent", "--show-error", "--unix-socket", path, "http://shop/"))
}

// reloadAndSettle returns when the old workers have gone: until then they take
// connections from a socket that all share.
func reloadAndSettle(t *testing.T, m *testproc.Master, workers int) {
	t.Helper()
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Fatalf("reload: %v", r)
	}
	m.AwaitStatus(t, "the old workers to leave", func(s testproc.Status) bool { return len(s.Workers) == workers })
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testproc.SocketDir(t), "web.sock")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = stale.Close() // as if its server had been killed
	m, st := ready(t, "--workers", "2", "-l", "unix:"+path+",mode=0660", "-l", "127.0.0.1:0")
	if l := st.Listen[0]; l.Address != "unix:"+path || l.Reuseport || !st.Listen[1].Reuseport {
		t.Errorf("listens on %+v", st.Listen)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("the socket is %v (%v), want mode 0660", info.Mode(), err)
	}
	for range 20 {
		if r := curlUnix(t, path); !strings.HasPrefix(r.Stdout, "hello from slot ") {
			t.Fatalf("curl: %v", r)
		}
	}
	if r := m.Run(t, "status"); !strings.Contains(r.Stdout, "listens on unix:"+path) {
		t.Errorf("status: %v", r)
	}
	second := command(t, "run", "--control", filepath.Join(testproc.SocketDir(t), "c.sock"), "-l", "unix:"+path)
	oneLine(t, second, 1, "unix:"+path, "taken by", "prefork", "pid ")
	for n := range 3 {
		reloadAndSettle(t, m, 2)
		if r := curlUnix(t, path); !strings.Contains(r.Stdout, fmt.Sprintf("generation %d ", n+2)) {
			t.Errorf("after reload %d curl says %v", n+1, r)
		}
	}
	if r := m.Run(t, "stop"); r.Code != 0 {
		t.Errorf("stop: %v", r)
	}
	nothingIn(t, filepath.Dir(path))
}

func TestUnixSocketThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := testproc.SocketDir(t)
	file := write(t, filepath.Join(t.TempDir(), "plain"), "precious")
	for listen, says := range map[string]string{
		"unix:" + dir + "/none/web.sock": "its folder " + dir + "/none does not exist: make it",
		"unix:" + file:                   "is no socket, so it is left alone",
	} {
		oneLine(t, command(t, "run", "--control", filepath.Join(dir, "c.sock"), "-l", "127.0.0.1:0", "-l", listen), 1, listen, says)
		nothingIn(t, dir)
	}
	for listen, says := range map[string]string{
		"unix:web.sock":           "the path is relative",
		"unix:@web":               "abstract",
		"unix:/a,mode=0999":       "octal",
		"systemd:a b":             "FileDescriptorName=",
		"unix:/a/../web.sock":     "write unix:/web.sock",
		"unix:/run/web.sock,x=yz": "unknown option",
	} {
		oneLine(t, command(t, "run", "-l", listen), 2, "--listen", says)
	}
}

// activated starts a master as systemd would: the sockets are there before it.
func activated(t *testing.T, names string, files []*os.File, args ...string) *testproc.Master {
	t.Helper()
	control := filepath.Join(testproc.SocketDir(t), "control.sock")
	script := fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s exec "$@"`, len(files), names)
	argv := append([]string{"-c", script, "sh", testproc.Binary(t), "run", "--control", control}, args...)
	cmd := exec.Command("sh", argv...)
	cmd.ExtraFiles = files
	m := &testproc.Master{Process: testproc.Start(t, cmd), Control: control}
	t.Cleanup(func() {
		if !m.Exited() {
			m.Signal(t, syscall.SIGTERM)
			m.AwaitExit(t)
		}
	})
	return m
}

func TestSystemdSocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	path := filepath.Join(testproc.SocketDir(t), "web.sock")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	localFile, err := local.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer localFile.Close()
	early := connect(t, l.Addr().String()) // it waits for the service to come
	fmt.Fprint(early, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	m := activated(t, "web:local:spare", []*os.File{file, localFile, localFile}, "-w", "2", "-l", "systemd:web", "-l", "systemd:local", "-l", "127.0.0.1:0")
	st := m.AwaitState(t, "serving")
	if len(st.Listen) != 3 || st.Listen[0].Address != l.Addr().String() || st.Listen[1].Address != "unix:"+path || st.Listen[0].Reuseport {
		t.Errorf("listens on %+v", st.Listen)
	}
	if answer := readAll(t, early); !strings.Contains(answer, "generation 1 ") {
		t.Errorf("who came before the service got %q", answer)
	}
	m.AwaitLine(t, "no address names them: add systemd:spare")
	for _, generation := range []string{"generation 2 ", "generation 3 "} {
		reloadAndSettle(t, m, 2)
		if answer := get(t, l.Addr().String()); !strings.Contains(answer, generation) {
			t.Errorf("the answer is %q, want %s", answer, generation)
		}
		if r := curlUnix(t, path); !strings.Contains(r.Stdout, generation) {
			t.Errorf("curl: %v", r)
		}
	}
	if r := m.Run(t, "stop"); r.Code != 0 {
		t.Errorf("stop: %v", r)
	}
	c := connect(t, l.Addr().String()) // systemd listens on, for the next start
	_ = c.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of systemd is gone: %v", err)
	}
}

func TestSystemdSocketThatIsNotThere(t *testing.T) {
	t.Parallel()
	oneLine(t, command(t, "run", "--control", filepath.Join(testproc.SocketDir(t), "c.sock"), "-l", "systemd:web"), 1,
		"systemd:web", "systemd has passed no sockets", "FileDescriptorName=web")
}

// TestSystemdSocketActivate with systemd's own tool, which starts the service when
// somebody connects.
func TestSystemdSocketActivate(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("systemd-socket-activate is not on this machine")
	}
	path := filepath.Join(testproc.SocketDir(t), "web.sock")
	control := filepath.Join(testproc.SocketDir(t), "control.sock")
	p := testproc.Start(t, exec.Command(tool, "--listen", path, "--fdname", "web", testproc.Binary(t), "run", "--control", control, "-w", "2", "-l", "systemd:web"))
	testproc.Await(t, "the socket", func() bool { _, err := os.Lstat(path); return err == nil })
	if r := curlUnix(t, path); !strings.HasPrefix(r.Stdout, "hello from slot ") {
		t.Errorf("curl: %v", r)
	}
	m := &testproc.Master{Process: p, Control: control}
	if r := m.Run(t, "stop"); r.Code != 0 {
		t.Errorf("stop: %v", r)
	}
	m.AwaitExit(t)
}

// visitors ask an address one after the other until they are told to stop.
type visitors struct {
	served, refused atomic.Int64
	ended           atomic.Bool
	running         sync.WaitGroup
}

func visit(t *testing.T, address string) *visitors {
	v := &visitors{}
	v.running.Go(func() {
		for !v.ended.Load() {
			c, err := net.Dial("tcp", address)
			if errors.Is(err, syscall.ECONNREFUSED) {
				v.refused.Add(1)
				<-time.After(time.Millisecond) // there is nothing to load
				continue
			}
			if err == nil {
				fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				var answer []byte
				if answer, err = io.ReadAll(c); err == nil && !strings.Contains(string(answer), "hello from") {
					err = fmt.Errorf("the answer is %q", answer)
				}
				_ = c.Close()
			}
			if err != nil {
				t.Error(err)
			}
			v.served.Add(1)
		}
	})
	return v
}

func (v *visitors) finish() { v.ended.Store(true); v.running.Wait() }

// TestReloadChangesAddresses by the file: one stays, one goes, one comes, with
// another number of workers. Nobody is lost where it stays, nobody reset where it
// goes; and a file that asks for a taken address changes nothing.
func TestReloadChangesAddresses(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := testproc.SocketDir(t)
	file := filepath.Join(t.TempDir(), "shop.toml")
	text := func(workers int, addresses ...string) string {
		return fmt.Sprintf("workers = %d\nlisten = [\"%s\"]\n", workers, strings.Join(addresses, `", "`))
	}
	write(t, file, text(2, "127.0.0.1:0", "[::1]:0", "unix:"+dir+"/gone"))
	m := testproc.PreforkAsConfigured(t, "--config", file)
	st := m.AwaitState(t, "serving")
	kept, gone := st.Listen[0].Address, st.Listen[1].Address
	const rate = 1000
	g := loadtest.Start(t, load.Config{Addr: kept, Rate: rate})
	v := visit(t, gone)
	loadtest.Await(t, g, rate)
	write(t, file, text(4, "127.0.0.1:0", "127.0.0.1:0", taken.Addr().String()))
	if r := m.Run(t, "reload"); r.Code != 4 || !strings.Contains(r.Stderr, taken.Addr().String()+" is taken by") {
		t.Errorf("reload to a taken address: %v, want exit code 4", r)
	}
	if again := m.Status(t); len(again.Workers) != 2 || len(again.Listen) != 3 || again.Workers[0].PID != st.Workers[0].PID {
		t.Errorf("before %+v\nafter %+v", st, again)
	}
	loadtest.Await(t, g, 2*rate)
	if v.refused.Load() != 0 || v.served.Load() == 0 {
		t.Errorf("%d were served and %d refused on an address that stays", v.served.Load(), v.refused.Load())
	}
	write(t, file, text(3, "unix:"+dir+"/new", "127.0.0.1:0", "127.0.0.1:0"))
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Fatalf("reload: %v", r)
	}
	st = m.Status(t)
	if len(st.Ready()) != 3 || len(st.Listen) != 3 || st.Listen[0].Address != "unix:"+dir+"/new" || st.Listen[1].Address != kept {
		t.Errorf("after the reload: %+v", st)
	}
	if answer := get(t, st.Listen[2].Address); !strings.Contains(answer, "generation 3 ") {
		t.Errorf("the new address answers %q", answer)
	}
	if r := curlUnix(t, dir+"/new"); !strings.Contains(r.Stdout, "generation 3 ") {
		t.Errorf("the new socket: %v", r)
	}
	loadtest.Await(t, g, 4*rate)
	v.finish()
	if v.refused.Load() == 0 {
		t.Error("nobody was refused on the address that was taken away")
	}
	report := loadtest.End(t, g)
	t.Logf("kept: %d answered, %d lost; taken away: %d served, %d refused, 0 reset", report.Answered, report.Lost(), v.served.Load(), v.refused.Load())
	if r := m.Run(t, "stop"); r.Code != 0 {
		t.Errorf("stop: %v", r)
	}
	m.AwaitExit(t)
	nothingIn(t, dir)
}

// TestLostUnixSocketComesBack: somebody has removed the socket's file, or put
// something else there. A reload makes it anew, or fails; it never says ok while
// nobody can come.
func TestLostUnixSocketComesBack(t *testing.T) {
	path := filepath.Join(testproc.SocketDir(t), "web")
	m, _ := ready(t, "--workers", "2", "--listen", "unix:"+path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Fatalf("reload: %v", r)
	}
	if r := curlUnix(t, path); !strings.Contains(r.Stdout, "generation 2 ") {
		t.Errorf("after the reload: %v", r)
	}
	replaceFile(t, path, "precious", 0o600)
	if r := m.Run(t, "reload"); r.Code != 4 || !strings.Contains(r.Stderr, "is no socket, so it is left alone") {
		t.Errorf("reload with a file in the way: %v", r)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// TestKilledMasterLeavesNothingBeside: what waited beside the path of a Unix socket
// is removed by the next start.
func TestKilledMasterLeavesNothingBeside(t *testing.T) {
	path := filepath.Join(testproc.SocketDir(t), "web")
	for _, name := range []string{path, path + "~0", path + "~3"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ready(t, "--workers", "1", "--listen", "unix:"+path)
	left, err := filepath.Glob(path + "~*")
	if len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestConfigurationFileIsSpared(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.toml")
	write(t, file, "workers = 1\n")
	for _, key := range []string{"pid-file", "log-file", "control"} {
		oneLine(t, command(t, "check", "--config", file, "--"+key, file), 2, key, "this is the configuration file")
	}
}
