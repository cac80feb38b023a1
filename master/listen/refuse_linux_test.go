package listen

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// TestRefuseLeavesTheQueuesAlone: what waited is served, who comes is refused, and
// nobody is reset.
func TestRefuseLeavesTheQueuesAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		listen, dial string
		shared       bool
	}{
		{"127.0.0.1:0", "127.0.0.1", false},
		{"127.0.0.1:0", "127.0.0.1", true},
		{"[::1]:0", "[::1]", false},
		{"[::]:0", "127.0.0.1", false},
		{"[::]:0", "[::1]", true},
	} {
		t.Run(test.listen+" by "+test.dial, func(t *testing.T) {
			t.Parallel()
			const slots, waiting = 3, 300
			g := mustOpenWith(t, test.listen, Options{Shared: test.shared}, slots)
			port := g.Address()[strings.LastIndex(g.Address(), ":"):]
			var clients []net.Conn
			for range waiting {
				c, err := net.Dial("tcp", test.dial+port)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				clients = append(clients, c)
			}
			for range 2 { // a second time changes nothing
				if err := g.Refuse(); err != nil {
					t.Fatal(err)
				}
			}
			if c, err := net.Dial("tcp", test.dial+port); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("a new client: got %v, %v, want a refusal", c, err)
			}
			served := 0
			for slot := range slots {
				served += answerAll(t, g.FD(slot))
			}
			if served != waiting {
				t.Errorf("%d of %d could be accepted", served, waiting)
			}
			for _, c := range clients {
				mustAnswer(t, c)
			}
		})
	}
}

func mustOpenWith(t testing.TB, listen string, opts Options, slots int) *Group {
	t.Helper()
	g, err := Open(mustParse(t, listen), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	mustAdd(t, g, slots)
	return g
}

func mustAdd(t testing.TB, g *Group, slots int) {
	t.Helper()
	for slot := g.Slots(); slot < slots; slot++ {
		if err := g.Add(slot); err != nil {
			t.Fatal(err)
		}
	}
}

// answerAll accepts what waits, says "x" and closes.
func answerAll(t testing.TB, fd int) (n int) {
	t.Helper()
	for {
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		if err != nil {
			t.Error(err)
			return n
		}
		if _, err := unix.Write(c, []byte("x")); err != nil {
			t.Error(err)
		}
		_ = unix.Close(c)
		n++
	}
}

func mustAnswer(t testing.TB, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(testproc.Patience)) // an error shows in the next line
	if answer, err := io.ReadAll(c); string(answer) != "x" || err != nil {
		t.Errorf("a client that had waited got %q, %v", answer, err)
	}
}

// TestRefuseUnderLoad: clients connect all the time; each is either served or
// refused.
func TestRefuseUnderLoad(t *testing.T) {
	t.Parallel()
	const slots, before = 4, 2000
	g := mustOpen(t, mustParse(t, "127.0.0.1:0"), slots)
	var served, refused, failed atomic.Int64
	var clients, server sync.WaitGroup
	var ended atomic.Bool
	server.Go(func() {
		for !ended.Load() {
			for slot := range slots {
				answerAll(t, g.FD(slot))
			}
		}
	})
	for range 4 {
		clients.Go(func() {
			for refused.Load() < 100 {
				c, err := net.Dial("tcp", g.Address())
				if errors.Is(err, unix.ECONNREFUSED) {
					refused.Add(1)
					continue
				}
				if err == nil {
					_, err = io.ReadAll(c)
					_ = c.Close()
				}
				if err != nil {
					failed.Add(1)
					t.Error(err)
				}
				served.Add(1)
			}
		})
	}
	testproc.Await(t, "the load", func() bool { return served.Load() >= before })
	if err := g.Refuse(); err != nil {
		t.Error(err)
	}
	clients.Wait()
	ended.Store(true)
	server.Wait()
	t.Logf("%d served, %d refused, %d failed", served.Load(), refused.Load(), failed.Load())
}

// TestRefuseLetsHandshakesEnd: with TCP_DEFER_ACCEPT a handshake is not over
// before the client sends something.
func TestRefuseLetsHandshakesEnd(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:0", "[::]:0"} {
		t.Run(listen, func(t *testing.T) {
			t.Parallel()
			g := mustOpen(t, mustParse(t, listen), 1)
			if err := unix.SetsockoptInt(g.FD(0), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30); err != nil {
				t.Fatal(err)
			}
			if got := mustHalfOpen(t, g); len(got) != 0 {
				t.Errorf("half open: %v, want nobody", got)
			}
			c := mustDial(t, g)
			want := netip.MustParseAddrPort(c.LocalAddr().String())
			if got := mustHalfOpen(t, g); len(got) != 1 || got[0] != want {
				t.Errorf("half open: %v, want %v", got, want)
			}
			if err := g.Refuse(); err != nil {
				t.Fatal(err)
			}
			if got := mustQueue(t, g.FD(0)); got != 0 {
				t.Errorf("%d connections wait, want none before the client says something", got)
			}
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			testproc.Await(t, "the connection", func() bool { return mustQueue(t, g.FD(0)) == 1 })
			if got := mustHalfOpen(t, g); len(got) != 0 {
				t.Errorf("half open: %v, want nobody any more", got)
			}
			if got := answerAll(t, g.FD(0)); got != 1 {
				t.Errorf("%d connections were accepted, want one", got)
			}
		})
	}
}

func mustHalfOpen(t testing.TB, g *Group) []netip.AddrPort {
	t.Helper()
	clients, err := HalfOpen(g.FD(0))
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// TestRefusedAddressCanBeOpenedAgain while its old sockets are still drained.
func TestRefusedAddressCanBeOpenedAgain(t *testing.T) {
	t.Parallel()
	old := mustOpen(t, mustParse(t, "127.0.0.1:0"), 2)
	mustDial(t, old)
	if err := old.Refuse(); err != nil {
		t.Fatal(err)
	}
	again := mustOpenWith(t, old.Address(), Options{Own: []*Group{old}}, 2)
	for range 20 {
		mustDial(t, again)
	}
	if got := mustQueue(t, again.FD(0)) + mustQueue(t, again.FD(1)); got != 20 {
		t.Errorf("%d of 20 connections came to the new sockets", got)
	}
	if got := mustQueue(t, old.FD(0)) + mustQueue(t, old.FD(1)); got != 1 {
		t.Errorf("%d connections wait in the old sockets, want the one of before", got)
	}
}

// TestOwnAddressGrows: from one interface to all of them. The old sockets keep
// what is theirs until they refuse.
func TestOwnAddressGrows(t *testing.T) {
	t.Parallel()
	for _, wide := range []string{"0.0.0.0", "[::]", ""} {
		t.Run(wide, func(t *testing.T) {
			t.Parallel()
			old := mustOpen(t, mustParse(t, "127.0.0.1:0"), 1)
			port := old.Address()[len("127.0.0.1"):]
			grown := mustOpenWith(t, wide+port, Options{Own: []*Group{old}}, 2)
			for range 10 {
				mustDial(t, old)
			}
			if got := mustQueue(t, old.FD(0)); got != 10 {
				t.Errorf("%d of 10 connections came to the old socket", got)
			}
			if err := old.Refuse(); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				mustDial(t, old)
			}
			if got := mustQueue(t, grown.FD(0)) + mustQueue(t, grown.FD(1)); got != 10 {
				t.Errorf("%d of 10 connections came to the new sockets", got)
			}
		})
	}
}

func TestOwnAddressDoesNotShrink(t *testing.T) {
	t.Parallel()
	old := mustOpen(t, mustParse(t, ":0"), 1)
	port := old.Address()[len("[::]"):]
	for _, narrow := range []string{"127.0.0.1", "[::1]"} {
		_, err := Open(mustParse(t, narrow+port), Options{Own: []*Group{old}})
		if err == nil || !strings.Contains(err.Error(), "change the port as well, or restart") {
			t.Errorf("%s beside %s: got %v", narrow, old.Address(), err)
		}
	}
	if err := old.Refuse(); err != nil { // nobody comes there any more
		t.Fatal(err)
	}
	mustOpenWith(t, "127.0.0.1"+port, Options{Own: []*Group{old}}, 1)
}

// TestStrangerBesideOwnIsFound although its SO_REUSEPORT would let us pass.
func TestStrangerBesideOwnIsFound(t *testing.T) {
	t.Parallel()
	old := mustOpen(t, mustParse(t, "127.77.0.3:0"), 1)
	port := old.Address()[len("127.77.0.3"):]
	mustHold(t, "127.77.0.4"+port, "share")
	_, err := Open(mustParse(t, "0.0.0.0"+port), Options{Own: []*Group{old}})
	var taken *TakenError
	if !errors.As(err, &taken) || !strings.Contains(taken.Holder, "(pid ") {
		t.Errorf("got %v, want it taken", err)
	}
}

// TestSharedGroupHasOneSocket for all its slots.
func TestSharedGroupHasOneSocket(t *testing.T) {
	t.Parallel()
	g := mustOpenWith(t, "127.0.0.1:0", Options{Shared: true}, 3)
	if got := listening(g); got != 1 || g.FD(0) != g.FD(2) || g.Slots() != 3 || !g.Shared() {
		t.Errorf("%d sockets listen, slots 0 and 2 have %d and %d", got, g.FD(0), g.FD(2))
	}
	checkSocket(t, g.FD(0))
	mustBeTaken(t, g.Address())
	for _, slot := range []int{2, 1} {
		if err := g.Remove(slot); err != nil || listening(g) != 1 {
			t.Errorf("without slot %d %d sockets listen (%v)", slot, listening(g), err)
		}
	}
	if err := g.Remove(0); err != nil || listening(g) != 0 {
		t.Errorf("without slots %d sockets listen (%v)", listening(g), err)
	}
}

// TestFreshGroupStandsBesideTheOldOne and has open files of its own.
func TestFreshGroupStandsBesideTheOldOne(t *testing.T) {
	t.Parallel()
	old := mustOpen(t, mustParse(t, "127.0.0.1:0"), 2)
	fresh, err := old.Fresh(mustParse(t, "localhost:0"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	mustAdd(t, fresh, 2)
	if got := listening(old); got != 4 || fresh.Address() != old.Address() {
		t.Errorf("%d sockets listen on %s, want 4 on %s", got, fresh.Address(), old.Address())
	}
	if err := unix.SetNonblock(fresh.FD(0), false); err != nil {
		t.Fatal(err)
	}
	checkSocket(t, old.FD(0))
	released, err := old.Release(1)
	if err != nil || len(released) != 1 || old.Slots() != 1 {
		t.Fatalf("Release(1) = %v, %v with %d slots left", released, err, old.Slots())
	}
	if got := listening(old); got != 4 {
		t.Errorf("%d sockets listen after a release, want all 4", got)
	}
	_ = unix.Close(released[0])
}
