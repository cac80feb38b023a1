package listen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/config"
)

// hold is a program that listens on its first argument. With a second one it
// does so with SO_REUSEPORT. It prints its address and ends with its input.
func hold(args []string) int {
	addr, err := config.ParseAddress(args[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	steps := []step{reuseAddress, chooseFamilies, bind, listen}
	if len(args) > 1 {
		steps = append([]step{reusePort}, steps...)
	}
	fd, err := openSocket(addr, steps...)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	addr.Port, _ = portOf(fd)
	fmt.Println(addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// mustHold starts a holder and returns the address that it has, and its PID.
func mustHold(t testing.TB, args ...string) (addr string, pid int) {
	t.Helper()
	cmd := testproc.Impersonate(t, "hold", args...)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = input.Close(), cmd.Wait() }) // how it ended is nobody's concern
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// mustBeTaken opens an address that is taken.
func mustBeTaken(t testing.TB, addr string) *TakenError {
	t.Helper()
	g, err := Open(mustParse(t, addr), Options{})
	if err == nil {
		t.Fatalf("%s was opened: %v", addr, g.Close())
	}
	var taken *TakenError
	if !errors.As(err, &taken) || !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("got %v, want a *TakenError", err)
	}
	return taken
}

func TestTakenNamesTheHolder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		hold []string
		open string // PORT stands for the holder's
	}{
		"plain socket":           {[]string{"127.0.0.1:0"}, "127.0.0.1:PORT"},
		"by SO_REUSEPORT":        {[]string{"127.0.0.1:0", "share"}, "127.0.0.1:PORT"},
		"IPv6":                   {[]string{"[::1]:0"}, "[::1]:PORT"},
		"all, wanted one":        {[]string{"0.0.0.0:0"}, "127.0.0.1:PORT"},
		"one, wanted all":        {[]string{"127.0.0.1:0"}, "0.0.0.0:PORT"},
		"IPv4, wanted both":      {[]string{"127.0.0.1:0"}, ":PORT"},
		"both, wanted IPv4":      {[]string{":0", "share"}, "127.0.0.1:PORT"},
		"IPv6 one, wanted both":  {[]string{"[::1]:0", "share"}, "[::]:PORT"},
		"both and shared, again": {[]string{":0", "share"}, ":PORT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held, pid := mustHold(t, test.hold...)
			open := strings.Replace(test.open, "PORT", held[strings.LastIndex(held, ":")+1:], 1)
			got := mustBeTaken(t, open)
			if want := fmt.Sprintf("%s (pid %d)", commandOf(pid), pid); got.Holder != want || got.Address != open {
				t.Errorf("got %q taken by %q, want %q taken by %q", got.Address, got.Holder, open, want)
			}
		})
	}
}

func TestTakenErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	err := &TakenError{Address: "127.0.0.1:8080", Holder: "nginx (pid 123)"}
	if got, want := err.Error(), "127.0.0.1:8080 is taken by nginx (pid 123): stop it, or choose another address with --listen"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The address was free at Open and is not at Add.
func TestAddToATakenAddress(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, mustParse(t, "127.77.0.2:0"), 0)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	_, pid := mustHold(t, g.Address())
	var taken *TakenError
	if err := g.Add(0); !errors.As(err, &taken) || !strings.HasSuffix(taken.Holder, fmt.Sprintf("(pid %d)", pid)) {
		t.Errorf("got %v, want it taken by pid %d", err, pid)
	}
	if g.Slots() != 0 {
		t.Errorf("got %d slots, want 0", g.Slots())
	}
}

// asPowerless runs f on a thread of that user that has no capability, as root
// neither. Processes of root with capabilities are out of its sight.
func asPowerless(t testing.TB, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 && os.Geteuid() != uid {
		t.Skip("needs root, to become another user")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := dropPower(uid)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// dropPower is for one thread: unix.Setresuid would be for all.
func dropPower(uid int) error {
	id := uintptr(uid)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, id, id, id); errno != 0 {
		return errno
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

func TestTakenByAHolderOutOfSight(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the holder has to have more privileges than we have")
	}
	tests := map[string]struct {
		uid  int
		want string
	}{
		"seen by a user": {65534, `a process of user id 0 that only root may look into ("ss -ltnp" as root names it)`},
		"seen by root":   {0, "a process of user id 0 that is not visible from here, perhaps in another container"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held, _ := mustHold(t, "127.0.0.1:0", "share")
			asPowerless(t, test.uid, func() {
				_, err := Open(mustParse(t, held), Options{})
				var taken *TakenError
				if !errors.As(err, &taken) || taken.Holder != test.want {
					t.Errorf("got  %v\nwant it taken by %s", err, test.want)
				}
			})
		})
	}
}

func TestHolderOfASocketThatIsInNoTable(t *testing.T) {
	t.Parallel()
	addr := mustParse(t, "127.77.0.3:1")
	if got, want := holder(addr), "a process that the kernel does not name"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrivilegedPort(t *testing.T) {
	t.Parallel()
	if unprivilegedPort() != "1024" {
		t.Skip("anybody may bind low ports on this machine")
	}
	asPowerless(t, os.Geteuid(), func() {
		_, err := Open(mustParse(t, "127.0.0.1:80"), Options{})
		want := "listen on 127.0.0.1:80: ports below 1024 need root or CAP_NET_BIND_SERVICE: choose a higher port, or let systemd grant it (AmbientCapabilities=CAP_NET_BIND_SERVICE)"
		if err == nil || err.Error() != want || !errors.Is(err, unix.EACCES) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

func TestAddressOfAnotherMachine(t *testing.T) {
	t.Parallel()
	// Addresses for documentation (RFC 5737, RFC 3849): nobody has them.
	for listen, host := range map[string]string{"192.0.2.1:0": "192.0.2.1", "[2001:db8::1]:0": "2001:db8::1"} {
		_, err := Open(mustParse(t, listen), Options{})
		want := "listen on " + listen + ": this machine has no address " + host + `: "ip address" shows which it has`
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err == nil || err.Error() != want || !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	addr := mustParse(t, "[::1]:0")
	tests := map[error]string{
		unix.EADDRINUSE:   `^listen on \[::1\]:0: no port is free \(.*\): choose`,
		unix.EAFNOSUPPORT: `^listen on \[::1\]:0: this machine has no IPv6: choose an IPv4 address`,
		unix.EMFILE:       `^listen on \[::1\]:0: too many open files: .*raise the limit`,
	}
	for errno, want := range tests {
		err := explain(addr, os.NewSyscallError("socket", errno))
		if !regexp.MustCompile(want).MatchString(err.Error()) || !errors.Is(err, errno) {
			t.Errorf("got %q, want it to match %q", err, want)
		}
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"127.0.0.1", "0.0.0.0", true},
		{"127.0.0.1", "::", true},
		{"127.0.0.1", "::1", false},
		{"127.0.0.1", "::ffff:127.0.0.1", true}, // as Java binds it
		{"0.0.0.0", "::", true},
		{"0.0.0.0", "::1", false},
		{"::1", "::", true},
		{"::1", "2001:db8::1", false},
	}
	for _, test := range tests {
		a, b := netip.MustParseAddr(test.a), netip.MustParseAddr(test.b)
		for _, got := range []bool{overlap(a, b), overlap(b, a)} {
			if got != test.want {
				t.Errorf("%s and %s: got %v, want %v", a, b, got, test.want)
			}
		}
	}
}

// By number and not by name, or a server's worker 1000 would be named in place of
// its master 999.
func TestProcessesAreInOrder(t *testing.T) {
	t.Parallel()
	pids := processes()
	if !slices.IsSorted(pids) || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("got %v, want them in ascending order with %d among them", pids, os.Getpid())
	}
}

func TestParseRow(t *testing.T) {
	t.Parallel()
	const rest = " 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 12345 1 0 100 0 0 10 0"
	tests := map[string]struct {
		row   string
		local string // empty: not a socket of anybody
	}{
		"IPv4":      {"   0: 0100007F:1F90" + rest, "127.0.0.1:8080"},
		"IPv6":      {"  12: B80D0120000000000000000001000000:0050" + rest, "[2001:db8::1]:80"},
		"TIME_WAIT": {"   1: 0100007F:1F90 0100007F:C000 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0", ""},
		"heading":   {"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", ""},
		"cut short": {"   0: 0100007F:1F90 00000000:0000 0A", ""},
		"no hex":    {"   0: 0100007X:1F90" + rest, ""},
		"no port":   {"   0: 0100007F" + rest, ""},
		"odd size":  {"   0: 0100007F01:1F90" + rest, ""},
		"empty":     {"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseRow(test.row)
			if ok != (test.local != "") {
				t.Fatalf("got %v, %v", got, ok)
			}
			if ok && (got.local.String() != test.local || !got.listening || got.uid != 33 || got.inode != "12345") {
				t.Errorf("got %+v, want %s, listening, uid 33, inode 12345", got, test.local)
			}
		})
	}
}

func FuzzParseRow(f *testing.F) {
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 12345 1 0")
	f.Add("   1: 0100007F:1F90 0100007F:C000 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0")
	f.Fuzz(func(t *testing.T, row string) {
		if s, ok := parseRow(row); ok && (!s.local.IsValid() || s.inode == "" || s.inode == "0") {
			t.Errorf("%q: got %+v", row, s)
		}
	})
}
