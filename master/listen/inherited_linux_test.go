package listen

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/config"
)

func TestParseActivation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, env  string
		want, says string
	}{
		{"nothing", "", "", ""},
		{"one", "LISTEN_PID=7 LISTEN_FDS=1 LISTEN_FDNAMES=web", "web", ""},
		{"several", "LISTEN_FDS=3 LISTEN_FDNAMES=web:admin:web LISTEN_PID=7", "web admin web", ""},
		{"without names", "LISTEN_PID=7 LISTEN_FDS=2", "unknown unknown", ""},
		{"a later one counts", "LISTEN_PID=8 LISTEN_PID=7 LISTEN_FDS=1 LISTEN_FDNAMES=a", "a", ""},
		{"for another process", "LISTEN_PID=8 LISTEN_FDS=1 LISTEN_FDNAMES=web", "", ""},
		{"for nobody", "LISTEN_FDS=1 LISTEN_FDNAMES=web", "", ""},
		{"no number", "LISTEN_PID=7 LISTEN_FDS=many", "", `LISTEN_FDS is "many", not a number from 1 to 512`},
		{"none", "LISTEN_PID=7 LISTEN_FDS=0", "", `LISTEN_FDS is "0"`},
		{"no count", "LISTEN_PID=7", "", `LISTEN_FDS is ""`},
		{"too many", "LISTEN_PID=7 LISTEN_FDS=513", "", `LISTEN_FDS is "513"`},
		{"names missing", "LISTEN_PID=7 LISTEN_FDS=2 LISTEN_FDNAMES=web", "", "LISTEN_FDNAMES has 1 names for 2 sockets"},
	} {
		got, err := parseActivation(strings.Fields(test.env), 7)
		if strings.Join(got, " ") != test.want || (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, %v, want %q %s", test.name, got, err, test.want, test.says)
		}
	}
}

// inherit is a program that takes what systemd passes and opens the addresses of
// its arguments; it prints what comes of each.
func inherit(args []string) int {
	in, err := Inherit(os.Environ(), os.Getpid())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, arg := range args {
		arg, again := strings.CutPrefix(arg, "again:")
		addr, err := config.ParseAddress(arg)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		g, err := Open(addr, Options{Inherited: in})
		if err != nil {
			fmt.Println(err)
			continue
		}
		if err := g.Add(0); err != nil {
			fmt.Println(err)
		}
		closed, blocking := "", ""
		for _, fd := range g.Sockets(0) {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				closed = " stays open in children"
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				blocking = " blocks"
			}
		}
		length, _, err := Queue(g.FD(0))
		fmt.Printf("%s %d sockets, %d wait%s%s %v\n", g.Address(), len(g.Sockets(0)), length, closed, blocking, err)
		if _, err := g.Fresh(addr, false); err == nil {
			fmt.Println("a second one was opened")
		}
		if err := g.Refuse(); err != nil {
			fmt.Println(err)
		}
		if again {
			g.PutBack()
		}
		if err := g.Close(); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("left:", strings.Join(in.Names(), " "))
	if err := in.Close(); err != nil {
		fmt.Println(err)
	}
	return 0
}

// activate runs inherit as systemd would. The shell is the process whose number
// the program gets.
func activate(t testing.TB, names string, files []*os.File, args ...string) testproc.Result {
	t.Helper()
	argv := testproc.ImpersonateArgv(t, "inherit", args...)
	script := fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s exec "$@"`, len(files), names)
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, argv...)...)
	cmd.ExtraFiles = files
	return testproc.Run(t, cmd)
}

func listenerFile(t testing.TB, network, address string) (*os.File, net.Listener) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, l
}

func TestInherit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testproc.SocketDir(t), "web.sock")
	web, l := listenerFile(t, "tcp4", "127.0.0.1:0")
	local, _ := listenerFile(t, "unix", path)
	other, _ := listenerFile(t, "tcp6", "[::1]:0")
	for _, to := range [][2]string{{"tcp", l.Addr().String()}, {"unix", path}, {"unix", path}} {
		c, err := net.Dial(to[0], to[1])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	got := activate(t, "web:local:two:two:spare", []*os.File{web, local, other, web, other}, "again:systemd:web", "systemd:web", "systemd:local", "systemd:two", "systemd:none", "systemd:web")
	want := []string{
		l.Addr().String() + " 1 sockets, 1 wait <nil>",
		l.Addr().String() + " 1 sockets, 1 wait <nil>",
		"unix:" + path + " 1 sockets, 2 wait <nil>",
		"2 sockets, 0 wait <nil>",
		"listen on systemd:none: systemd has passed no socket of this name, but spare: change the name here, or FileDescriptorName= in the .socket unit",
		"listen on systemd:web: the socket went back to systemd when it was no longer configured: restart the service to get it again",
		"left: spare",
	}
	lines := strings.Split(strings.TrimSpace(got.Stdout), "\n")
	if got.Code != 0 || len(lines) != len(want) {
		t.Fatalf("%v", got)
	}
	for i, line := range lines {
		if !strings.HasSuffix(line, want[i]) {
			t.Errorf("got  %s\nwant %s", line, want[i])
		}
	}
	// systemd's own copies still listen, where they did.
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the socket does not listen any more: %v", err)
	} else {
		_ = c.Close()
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err != nil {
		t.Errorf("the socket does not listen any more: %v", err)
	} else {
		_ = c.Close()
	}
}

func TestInheritRefuses(t *testing.T) {
	t.Parallel()
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	got := activate(t, "web", []*os.File{plain})
	if got.Code != 1 || !strings.Contains(got.Stdout, "take socket 1 of 1 from systemd (web): getsockopt SO_TYPE: socket operation on non-socket") {
		t.Errorf("a plain file: %v", got)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	file, err := packets.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := activate(t, "web", []*os.File{file}); got.Code != 1 || !strings.Contains(got.Stdout, "the .socket unit needs ListenStream= and Accept=no") {
		t.Errorf("a socket of datagrams: %v", got)
	}
}

func TestNothingInherited(t *testing.T) {
	t.Parallel()
	in, err := Inherit(nil, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, none := range []*Inherited{nil, in} {
		_, err := Open(mustParse(t, "systemd:web"), Options{Inherited: none})
		if err == nil || err.Error() != "listen on systemd:web: systemd has passed no sockets: start this service by a .socket unit with FileDescriptorName=web" {
			t.Errorf("got %v", err)
		}
		if len(none.Names()) != 0 || none.Close() != nil {
			t.Error("there is something to close")
		}
	}
}
