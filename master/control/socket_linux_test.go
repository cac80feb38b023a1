package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSocketIsOnlyForItsOwner(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	checkMode(t, s.path, os.ModeSocket|0o600)
	checkMode(t, filepath.Dir(s.path), os.ModeDir|0o700)
}

func TestServerLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	path := newSocketPath(t)
	lock := mustLock(t, path+".lock")
	server, err := Serve(Config{Path: path, Lock: lock, Backend: newFakeBackend()})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
	checkEntries(t, filepath.Dir(path))
}

func TestSocketOfADeadMasterIsReplaced(t *testing.T) {
	t.Parallel()
	path := newSocketPath(t)
	dead := startChild(t, os.Geteuid(), "serve", path)
	if dead.said != "serves\n" {
		t.Fatalf("the child says %q", dead.said)
	}
	if _, err := Dial(path).Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead.kill(t)
	checkEntries(t, filepath.Dir(path), "web.sock", "web.sock.lock")

	lock := mustLock(t, path+".lock")
	server, err := Serve(Config{Path: path, Lock: lock, Backend: newFakeBackend()})
	if err != nil {
		t.Fatal(err)
	}
	status, err := Dial(path).Status(t.Context())
	if err != nil || status.PID != os.Getpid() {
		t.Errorf("pid %d, %v answers, want %d", status.PID, err, os.Getpid())
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSocketOfALivingProgramStays has a program without our lock listen there.
func TestSocketOfALivingProgramStays(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	other := mustLock(t, s.path+".other.lock")
	_, err := Serve(Config{Path: s.path, Lock: other, Backend: newFakeBackend()})
	if err == nil || !strings.Contains(err.Error(), "another program listens there: stop it, or choose another place with --control") {
		t.Errorf("got %v", err)
	}
	if _, err := Dial(s.path).Status(t.Context()); err != nil {
		t.Errorf("the one who listened: %v", err)
	}
}

func TestWhatIsNoSocketStays(t *testing.T) {
	t.Parallel()
	path := newSocketPath(t)
	lock := mustLock(t, path+".lock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Serve(Config{Path: path, Lock: lock, Backend: newFakeBackend()})
	if err == nil || !strings.Contains(err.Error(), "a file that is not a socket stands there: move it away") {
		t.Errorf("got %v", err)
	}
	if content, err := os.ReadFile(path); string(content) != "precious" {
		t.Errorf("the file holds %q, %v", content, err)
	}
}

func TestShutdownLeavesTheSocketOfAnother(t *testing.T) {
	t.Parallel()
	path := newSocketPath(t)
	server, err := Serve(Config{Path: path, Lock: mustLock(t, path+".lock"), Backend: newFakeBackend()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket: %v", err)
	}
}

func TestSocketPathsThatCannotBe(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	lock := mustLock(t, filepath.Join(folder, "web.lock"))
	long := "/" + strings.Repeat("x", 107)
	for name, tc := range map[string]struct{ path, want string }{
		"none":      {"", "the control socket has no path: give one with --control"},
		"too long":  {long, "control socket " + long + ": the path has 108 bytes, and the kernel takes at most 107: choose a shorter one with --control"},
		"abstract":  {"@web", `control socket "@web": not the path of a file`},
		"zero byte": {"/run/a\x00b", `control socket "/run/a\x00b": not the path of a file`},
		"nowhere":   {filepath.Join(folder, "a", "b", "web.sock"), filepath.Join(folder, "a") + " does not exist: make it, or choose another place with --control"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Serve(Config{Path: tc.path, Lock: lock, Backend: newFakeBackend()})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant … %s", err, tc.want)
			}
		})
	}
}

func TestLongestSocketPathWorks(t *testing.T) {
	t.Parallel()
	folder := filepath.Dir(newSocketPath(t))
	path := filepath.Join(folder, strings.Repeat("x", 107-len(folder)-1))
	server, err := Serve(Config{Path: path, Lock: mustLock(t, filepath.Join(folder, "web.lock")), Backend: newFakeBackend()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServeWithoutALock(t *testing.T) {
	t.Parallel()
	if _, err := Serve(Config{Path: newSocketPath(t), Backend: newFakeBackend()}); err == nil {
		t.Error("it serves")
	}
}

func TestFoldersThatOthersCanWriteTo(t *testing.T) {
	t.Parallel()
	const stranger = 65534
	for name, tc := range map[string]struct {
		plant    func(folder string) error
		want     string
		needRoot bool
	}{
		"group":    {plant: makeFolder(0o770), want: "has mode 0770, so others could replace the control socket in it: chmod go-w it"},
		"others":   {plant: makeFolder(0o702), want: "has mode 0702"},
		"everyone": {plant: makeFolder(0o777), want: "has mode 0777"},
		"like tmp": {plant: makeFolder(0o777 | os.ModeSticky), want: "has mode 1777"},
		"file":     {plant: func(folder string) error { return os.WriteFile(folder, nil, 0o600) }, want: "is not a folder"},
		"stranger": {plant: func(folder string) error {
			return errors.Join(os.Mkdir(folder, 0o700), os.Chown(folder, stranger, stranger))
		}, want: "belongs to uid 65534, who could replace the control socket in it", needRoot: true},
		"link of a stranger": {plant: func(folder string) error {
			return errors.Join(os.Mkdir(folder+".good", 0o700), os.Symlink(folder+".good", folder), os.Lchown(folder, stranger, stranger))
		}, want: "belongs to uid 65534", needRoot: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.needRoot && os.Geteuid() != 0 {
				t.Skip("only root can give a folder away")
			}
			folder := filepath.Join(t.TempDir(), "run")
			if err := tc.plant(folder); err != nil {
				t.Fatal(err)
			}
			_, err := TakeLock(filepath.Join(folder, "web.lock"))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to contain %q", err, tc.want)
			}
		})
	}
}

func TestFoldersThatOthersCanOnlyRead(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "run")
	if err := makeFolder(0o755)(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, folder+".link"); err != nil {
		t.Fatal(err)
	}
	mustLock(t, filepath.Join(folder, "a.lock"))
	mustLock(t, filepath.Join(folder+".link", "b.lock"))
}

// TestStrangersAreRefused opens the doors that keep strangers out, so that only
// the peer's credentials are left to do it.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	s := startServer(t, newFakeBackend(), nil)
	for path, mode := range map[string]os.FileMode{filepath.Dir(filepath.Dir(s.path)): 0o755, filepath.Dir(s.path): 0o755, s.path: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	stranger := startChild(t, 65534, "ask", s.path)
	if want := "ask the master for its status: uid 65534 may not talk to this master: do it as root, or as uid 0\n"; stranger.said != want {
		t.Errorf("the stranger was told %q, want %q", stranger.said, want)
	}
	if len(s.backend.asked) != 0 {
		t.Errorf("the backend was asked %v", s.backend.asked)
	}
}

// TestStrangersAreNotTalkedTo has another user listen where a user's master
// would.
func TestStrangersAreNotTalkedTo(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	folder := filepath.Dir(filepath.Dir(newSocketPath(t)))
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "run", "web.sock")
	impostor := startChild(t, 65533, "serve", path)
	if impostor.said != "serves\n" {
		t.Fatalf("the impostor says %q", impostor.said)
	}
	if err := errors.Join(os.Chmod(filepath.Dir(path), 0o755), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	victim := startChild(t, 65534, "ask", path)
	if want := "uid 65533 listens there, who is neither you nor root"; !strings.Contains(victim.said, want) {
		t.Errorf("the victim was told %q, want %q", victim.said, want)
	}
}

func TestClientWithoutAMaster(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	dead := filepath.Join(folder, "dead")
	fd, err := boundSocket(dead)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Close(fd); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"no socket": filepath.Join(folder, "none"), "no folder": filepath.Join(folder, "no", "where"),
		"dead socket": dead, "folder is a file": filepath.Join(folder, "file", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Dial(path).Do(context.Background(), Command{Verb: Reload})
			want := "no master listens on " + path + ": start one with prefork run, or name another with --name or --control"
			if !errors.Is(err, ErrNoMaster) || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func makeFolder(mode os.FileMode) func(string) error {
	return func(folder string) error {
		return errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, mode)) // chmod, since the umask is not ours
	}
}

func checkMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	if info, err := os.Lstat(path); err != nil || info.Mode() != want {
		t.Errorf("%s: %v, %v, want mode %v", path, info.Mode(), err, want)
	}
}

func checkEntries(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", folder, names, want)
	}
}
