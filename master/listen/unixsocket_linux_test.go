package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/config"
)

func unixAddress(t testing.TB, path, options string) config.Address {
	t.Helper()
	return mustParse(t, "unix:"+path+options)
}

func socketPath(t testing.TB) string { return filepath.Join(testproc.SocketDir(t), "web.sock") }

func mustDialUnix(t testing.TB, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	g := mustOpenWith(t, "unix:"+path, Options{}, 3)
	if g.Address() != "unix:"+path || !g.Shared() || g.FD(0) != g.FD(2) || !g.Found() {
		t.Errorf("got %s with sockets %d and %d", g.Address(), g.FD(0), g.FD(2))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o666 {
		t.Errorf("the file is %v (%v), want a socket for everybody", info.Mode(), err)
	}
	if flags, err := unix.FcntlInt(uintptr(g.FD(0)), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the socket blocks (%v)", err)
	}
	for want := range 4 {
		if got := mustQueue(t, g.FD(0)); got != want {
			t.Errorf("%d connections wait, want %d", got, want)
		}
		mustDialUnix(t, path)
	}
	if _, limit, err := Queue(g.FD(0)); err != nil || limit < 128 {
		t.Errorf("at most %d may wait (%v), want what the machine allows", limit, err)
	}
	if err := g.Refuse(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("unix", path); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a client after Refuse: got %v, %v, want that there is no file", c, err)
	}
	if got := answerAll(t, g.FD(0)); got != 4 {
		t.Errorf("%d of 4 could be accepted", got)
	}
}

func TestUnixSocketOfAnotherModeAndOwner(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	for _, mode := range []os.FileMode{0o600, 0o660, 0o777, 0} {
		g := mustOpenWith(t, fmt.Sprintf("unix:%s,mode=%o", path, mode), Options{}, 1)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %o gave %v (%v)", mode, info.Mode(), err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Run("user and group", func(t *testing.T) {
		if os.Geteuid() != 0 {
			_, err := Open(unixAddress(t, path, ",user=0"), Options{})
			if err == nil || !strings.Contains(err.Error(), "only root can give a socket away") {
				t.Errorf("got %v", err)
			}
			mustBeGone(t, path)
			t.Skip("only root can give a socket to another user")
		}
		for _, options := range []string{",user=nobody,group=12345", ",user=65534,group=12345"} {
			g := mustOpenWith(t, "unix:"+path+options, Options{}, 1)
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil || st.Uid != 65534 || st.Gid != 12345 {
				t.Errorf("%s gave owner %d and group %d (%v)", options, st.Uid, st.Gid, err)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	for options, want := range map[string]string{
		",user=no-such-user":   "there is no user no-such-user on this machine",
		",group=no-such-group": "there is no group no-such-group on this machine",
	} {
		if _, err := Open(unixAddress(t, path, options), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", options, err)
		}
		mustBeGone(t, path)
	}
}

func mustBeGone(t testing.TB, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left", e.Name())
	}
}

func TestUnixSocketThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := testproc.SocketDir(t)
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("plain", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		plain:                               "is there and is no socket, so it is left alone",
		link:                                "is there and is no socket, so it is left alone",
		dir:                                 "is there and is no socket, so it is left alone",
		filepath.Join(dir, "none/web.sock"): "its folder " + dir + "/none does not exist: make it",
		filepath.Join(plain, "web.sock"):    "is no folder",
		"/proc/1/web.sock":                  "",
	} {
		_, err := Open(unixAddress(t, path, ""), Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want it to say %q in one line", path, err, want)
		}
	}
	if text, err := os.ReadFile(plain); string(text) != "precious" || err != nil {
		t.Errorf("the file holds %q now (%v)", text, err)
	}
}

// TestStaleUnixSocket: a server that was killed has left its file.
func TestStaleUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	leaveStale(t, path)
	g := mustOpenWith(t, "unix:"+path, Options{}, 1)
	mustDialUnix(t, path)
	if got := mustQueue(t, g.FD(0)); got != 1 {
		t.Errorf("%d connections wait, want one", got)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	mustBeGone(t, path)
}

// leaveStale makes a socket file that nobody serves. A process that another test
// starts at this moment may have the socket, too, until it executes its program.
func leaveStale(t testing.TB, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	testproc.Await(t, "nobody to serve "+path, func() bool {
		c, err := net.Dial("unix", path)
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, unix.ECONNREFUSED)
	})
}

func TestTakenUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	first := mustOpenWith(t, "unix:"+path, Options{}, 1)
	got := mustBeTaken(t, "unix:"+path)
	if want := fmt.Sprintf("(pid %d)", os.Getpid()); got.Address != "unix:"+path || !strings.HasSuffix(got.Holder, want) {
		t.Errorf("%s is taken by %q, want by %s", got.Address, got.Holder, want)
	}
	t.Run("by a fresh one", func(t *testing.T) {
		fresh := mustFresh(t, first, "")
		if err := fresh.Show(first); err != nil {
			t.Fatal(err)
		}
		got := mustBeTaken(t, "unix:"+path)
		if want := fmt.Sprintf("(pid %d)", os.Getpid()); !strings.HasSuffix(got.Holder, want) {
			t.Errorf("it is taken by %q, want by %s", got.Holder, want)
		}
		mustClose(t, fresh)
	})
	t.Run("bound only", func(t *testing.T) {
		path := socketPath(t)
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		mustBeTaken(t, "unix:"+path)
	})
	t.Run("of datagrams", func(t *testing.T) {
		path := socketPath(t)
		l, err := net.ListenPacket("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		mustBeTaken(t, "unix:"+path)
	})
}

func mustFresh(t testing.TB, g *Group, options string) *Group {
	t.Helper()
	fresh, err := g.Fresh(unixAddress(t, g.Config().Path, options), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, fresh) })
	mustAdd(t, fresh, g.Slots())
	return fresh
}

func mustClose(t testing.TB, g *Group) {
	t.Helper()
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// TestFreshUnixSocket is not found before it is shown, takes over at once, and
// can give way again.
func TestFreshUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	old := mustOpenWith(t, "unix:"+path, Options{}, 1)
	leaveStale(t, path+"~0")
	fresh := mustFresh(t, old, ",mode=0600")
	mustLead := func(to, other *Group) {
		t.Helper()
		before, otherBefore := mustQueue(t, to.FD(0)), mustQueue(t, other.FD(0))
		mustDialUnix(t, path)
		if got := mustQueue(t, to.FD(0)); got != before+1 || mustQueue(t, other.FD(0)) != otherBefore {
			t.Errorf("%d connections wait where one should have come to %d", got, before)
		}
	}
	mustLead(old, fresh)
	if err := fresh.Show(old); err != nil {
		t.Fatal(err)
	}
	mustLead(fresh, old)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || old.Found() || !fresh.Found() {
		t.Errorf("the file is %v (%v)", info.Mode(), err)
	}
	for _, g := range []*Group{old, fresh} {
		if err := g.Show(map[*Group]*Group{old: fresh, fresh: old}[g]); err != nil {
			t.Fatal(err)
		}
		mustLead(g, map[*Group]*Group{old: fresh, fresh: old}[g])
	}
	mustClose(t, old)
	mustDialUnix(t, path)
	mustClose(t, fresh)
	mustBeGone(t, path)
}

// TestFreshUnixSocketWhereTheFileWasRemoved by an operator who tidied up.
func TestFreshUnixSocketWhereTheFileWasRemoved(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	old := mustOpenWith(t, "unix:"+path, Options{}, 1)
	fresh := mustFresh(t, old, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := fresh.Show(old); err != nil {
		t.Fatal(err)
	}
	mustDialUnix(t, path)
	t.Run("and replaced by a stranger", func(t *testing.T) {
		again := mustFresh(t, fresh, "")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		stranger, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		if err := again.Show(fresh); !errors.Is(err, unix.EEXIST) {
			t.Errorf("got %v, want that the stranger's stays", err)
		}
		mustClose(t, again)
		mustClose(t, fresh)
		mustDialUnix(t, path)
	})
}

// TestOnlySoManyBesideAPath: the places are bounded, and each is given back.
func TestOnlySoManyBesideAPath(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	old := mustOpenWith(t, "unix:"+path, Options{}, 1)
	for range besideMax {
		mustFresh(t, old, "")
	}
	if _, err := old.Fresh(old.Config(), false); err == nil || !strings.Contains(err.Error(), "web.sock~9 are all taken") {
		t.Errorf("got %v", err)
	}
}

// TestStaleSocketIsReplacedOnce: of many masters that find it at once one gets it.
func TestStaleSocketIsReplacedOnce(t *testing.T) {
	t.Parallel()
	const rounds, masters = 20, 8
	path := socketPath(t)
	for range rounds {
		leaveStale(t, path)
		groups := make([]*Group, masters)
		var starting sync.WaitGroup
		for i := range masters {
			starting.Go(func() {
				g, err := Open(unixAddress(t, path, ""), Options{})
				var taken *TakenError
				if err != nil && !errors.As(err, &taken) {
					t.Error(err)
				}
				groups[i] = g
			})
		}
		starting.Wait()
		got := 0
		for _, g := range groups {
			if g != nil {
				got++
				mustDialUnix(t, path)
				mustClose(t, g)
			}
		}
		if got != 1 {
			t.Errorf("%d masters have the address, want 1", got)
		}
		mustBeGone(t, path)
	}
}

func TestParseUnixRow(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]struct {
		path      string
		listening bool
		ok        bool
	}{
		"0000: 00000002 00000000 00010000 0001 01 23456 /run/web.sock\n": {"/run/web.sock", true, true},
		"0000: 00000002 00000000 00000000 0002 01 23456 /run/a b.sock\n": {"/run/a b.sock", false, true},
		"0000: 00000003 00000000 00000000 0001 03 23456 /run/web.sock\n": {},
		"0000: 00000003 00000000 00000000 0001 01 23456\n":               {},
		"Num       RefCount Protocol Flags    Type St Inode Path\n":      {},
		"": {},
	} {
		s, path, ok := parseUnixRow(row)
		if ok != want.ok || path != want.path || s.listening != want.listening || ok && s.inode != "23456" {
			t.Errorf("%q: got %+v, %q, %v", row, s, path, ok)
		}
	}
}
