package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/config"
)

func mustParse(t testing.TB, text string) config.Address {
	t.Helper()
	addr, err := config.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// mustOpen opens a group with so many slots, and closes it with the test.
func mustOpen(t testing.TB, addr config.Address, slots int) *Group {
	t.Helper()
	g, err := Open(addr, Options{})
	if errors.Is(err, unix.EAFNOSUPPORT) || (errors.Is(err, unix.EADDRNOTAVAIL) && addr.IP.Is6()) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	for slot := range slots {
		if err := g.Add(slot); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// listening counts the sockets that listen on exactly this address and port.
func listening(g *Group) (count int) {
	want := netip.MustParseAddrPort(g.Address())
	for _, s := range slices.Concat(readTable("/proc/net/tcp"), readTable("/proc/net/tcp6")) {
		if s.listening && s.local == want {
			count++
		}
	}
	return count
}

func TestGroupHasOneSocketForEachSlot(t *testing.T) {
	t.Parallel()
	const slots = 4
	tests := map[string]struct {
		listen, prefix string
		dial, refuse   []string // hosts that reach the group, and that do not
	}{
		"IPv4":      {"127.0.0.1:0", "127.0.0.1:", []string{"127.0.0.1"}, []string{"127.0.0.2"}},
		"localhost": {"localhost:0", "127.0.0.1:", []string{"127.0.0.1"}, nil},
		"IPv4 all":  {"0.0.0.0:0", "0.0.0.0:", []string{"127.0.0.1", "127.0.0.2"}, nil},
		"IPv6":      {"[::1]:0", "[::1]:", []string{"[::1]"}, nil},
		"both":      {"[::]:0", "[::]:", []string{"[::1]", "127.0.0.1", "127.0.0.2"}, nil},
		"wildcard":  {"*:0", "[::]:", []string{"[::1]", "127.0.0.1"}, nil},
		"no host":   {":0", "[::]:", []string{"[::1]", "127.0.0.1"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := mustOpen(t, mustParse(t, test.listen), slots)
			host, port, _ := strings.Cut(g.Address(), test.prefix)
			if host != "" || port == "0" || port == "" {
				t.Fatalf("got address %q, want it to begin with %q and to have a port", g.Address(), test.prefix)
			}
			if got := listening(g); got != slots || g.Slots() != slots {
				t.Errorf("got %d listening sockets and Slots() %d, want %d", got, g.Slots(), slots)
			}
			for _, host := range test.dial {
				c, err := net.Dial("tcp", host+":"+port)
				if err != nil {
					t.Errorf("reach it by %s: %v", host, err)
					continue
				}
				_ = c.Close()
			}
			for _, host := range test.refuse {
				if c, err := net.Dial("tcp", host+":"+port); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("reach it by %s: got %v, %v, want a refusal", host, c, err)
				}
			}
		})
	}
}

func TestIPv6OnlyLeavesIPv4Alone(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, config.Address{Network: "tcp6", Host: "::", IP: netip.IPv6Unspecified()}, 1)
	port := netip.MustParseAddrPort(g.Address()).Port()
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("reach it by IPv4: got %v, %v, want a refusal", c, err)
	}
}

func TestSocketsAreAsPromised(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		t.Run(listen, func(t *testing.T) {
			t.Parallel()
			g := mustOpen(t, mustParse(t, listen), 2)
			for slot := range g.Slots() {
				checkSocket(t, g.FD(slot))
			}
		})
	}
}

func checkSocket(t testing.TB, fd int) {
	t.Helper()
	options := []struct {
		name              string
		level, opt, value int
	}{
		{"SO_PROTOCOL", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP}, // not MPTCP
		{"SO_ACCEPTCONN", unix.SOL_SOCKET, unix.SO_ACCEPTCONN, 1},
		{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
	}
	for _, o := range options {
		if got, err := unix.GetsockoptInt(fd, o.level, o.opt); err != nil || got != o.value {
			t.Errorf("%s: got %d (%v), want %d", o.name, got, err, o.value)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the socket blocks (%v)", err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the socket is not close-on-exec (%v)", err)
	}
}

// The kernel's index of a socket in its group is its slot, at any time: a steering
// program that answers k is answered by slot k.
func TestIndexInTheKernelIsTheSlot(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:0", "[::]:0"} {
		t.Run(listen, func(t *testing.T) {
			t.Parallel()
			g := mustOpen(t, mustParse(t, listen), 3)
			checkIndices(t, g)
			for _, slot := range []int{2, 1} {
				if err := g.Remove(slot); err != nil {
					t.Fatal(err)
				}
			}
			for _, slot := range []int{1, 2, 3} {
				if err := g.Add(slot); err != nil {
					t.Fatal(err)
				}
			}
			checkIndices(t, g)
		})
	}
}

func checkIndices(t testing.TB, g *Group) {
	t.Helper()
	for slot := range g.Slots() {
		answer := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(slot)}
		program := unix.SockFprog{Len: 1, Filter: &answer}
		if err := unix.SetsockoptSockFprog(g.FD(0), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &program); err != nil {
			t.Fatal(err)
		}
		before := mustQueue(t, g.FD(slot))
		mustDial(t, g)
		if got := mustQueue(t, g.FD(slot)); got != before+1 {
			t.Errorf("slot %d: %d connections wait, want %d", slot, got, before+1)
		}
	}
}

func mustQueue(t testing.TB, fd int) int {
	t.Helper()
	length, _, err := Queue(fd)
	if err != nil {
		t.Fatal(err)
	}
	return length
}

// mustDial connects to the group; the connection is closed with the test.
func mustDial(t testing.TB, g *Group) net.Conn {
	t.Helper()
	port := netip.MustParseAddrPort(g.Address()).Port()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSlotsComeAndGoAtTheEndOnly(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, mustParse(t, "127.0.0.1:0"), 3)
	for _, slot := range []int{-1, 0, 2, 4} {
		if err := g.Add(slot); err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("slot %d: slot 3 comes next", slot)) {
			t.Errorf("Add(%d): got %v", slot, err)
		}
	}
	for _, slot := range []int{-1, 0, 1, 3} {
		if err := g.Remove(slot); err == nil || !strings.HasSuffix(err.Error(), "only the highest slot (2) can go") {
			t.Errorf("Remove(%d): got %v", slot, err)
		}
	}
	if got := listening(g); got != 3 || g.Slots() != 3 {
		t.Errorf("got %d listening sockets and Slots() %d, want 3", got, g.Slots())
	}
	empty := mustOpen(t, mustParse(t, "127.0.0.1:0"), 0)
	if err := empty.Remove(-1); err == nil {
		t.Error("Remove(-1) of a group without slots: no error")
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	g := mustOpen(t, mustParse(t, "127.0.0.1:0"), 2)
	for range 2 {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	if g.Slots() != 0 {
		t.Errorf("got %d slots, want 0", g.Slots())
	}
}

// The end of an earlier run closed its connections first, and so has them in
// TIME_WAIT on the port.
func TestTimeWaitDoesNotReadAsTaken(t *testing.T) {
	t.Parallel()
	earlier := mustOpen(t, mustParse(t, "127.0.0.1:0"), 1)
	client := mustDial(t, earlier)
	server, _, err := unix.Accept4(earlier.FD(0), unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(server); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Fatal("the client was not told")
	}
	if err := errors.Join(client.Close(), earlier.Close()); err != nil {
		t.Fatal(err)
	}
	later := mustOpen(t, mustParse(t, earlier.Address()), 2)
	if got := listening(later); got != 2 {
		t.Errorf("got %d listening sockets, want 2", got)
	}
}

// A client that comes between Open and the first Add is served by slot 0: the
// claim neither refuses nor resets it.
func TestClaimAnswersNobody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, listen, client string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "::1"},
		{"IPv4 to both", "[::]:0", "127.0.0.1"},
		{"IPv6 to both", "[::]:0", "::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := mustOpen(t, mustParse(t, c.listen), 0)
			port := netip.MustParseAddrPort(g.Address()).Port()
			client := beginConnect(t, netip.AddrPortFrom(netip.MustParseAddr(c.client), port))
			if err := g.Add(0); err != nil {
				t.Fatal(err)
			}
			// The kernel sends its SYN again after a second.
			connected := []unix.PollFd{{Fd: int32(client), Events: unix.POLLOUT}}
			testproc.Await(t, "the connection", func() bool {
				n, err := unix.Poll(connected, 0)
				if err != nil && !errors.Is(err, unix.EINTR) {
					t.Fatal(os.NewSyscallError("poll", err))
				}
				return n == 1
			})
			if code, err := unix.GetsockoptInt(client, unix.SOL_SOCKET, unix.SO_ERROR); code != 0 || err != nil {
				t.Errorf("the client: %v (%v), want a connection", syscall.Errno(code), err)
			}
			if got := mustQueue(t, g.FD(0)); got != 1 {
				t.Errorf("%d connections wait in slot 0, want 1", got)
			}
		})
	}
}

// beginConnect sends a SYN and does not wait for what comes of it.
func beginConnect(t *testing.T, to netip.AddrPort) (client int) {
	t.Helper()
	domain, name := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())})
	if to.Addr().Is4() {
		domain, name = unix.AF_INET, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	client, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(client) })
	if err := unix.Connect(client, name); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect: got %v, want %v", err, unix.EINPROGRESS)
	}
	return client
}

// Many masters at once: one gets the address, and the others learn that.
func TestOneOfManyMastersGetsTheAddress(t *testing.T) {
	t.Parallel()
	const rounds = 20
	for range rounds {
		// An address of this test's own: nobody takes the port meanwhile.
		free := mustOpen(t, mustParse(t, "127.77.0.1:0"), 0)
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
		groups := openAtOnce(t, mustParse(t, free.Address()))
		if len(groups) != 1 {
			t.Errorf("%d masters have the address, want 1", len(groups))
		}
		for _, g := range groups {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// openAtOnce returns the groups of those that succeeded.
func openAtOnce(t testing.TB, addr config.Address) []*Group {
	t.Helper()
	const masters = 8
	groups := make([]*Group, masters)
	var starting sync.WaitGroup
	for i := range masters {
		starting.Go(func() {
			g, err := Open(addr, Options{})
			if err == nil {
				groups[i], err = g, g.Add(0)
			}
			var taken *TakenError
			if err != nil && !errors.As(err, &taken) {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	return slices.DeleteFunc(groups, func(g *Group) bool { return g == nil })
}
