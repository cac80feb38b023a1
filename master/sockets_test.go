package master

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/config"
	"prefork/master/listen"
)

func mustAddress(t testing.TB, s string) config.Address {
	t.Helper()
	address, err := config.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// listening is a configuration of a program for addresses.
func listening(t testing.TB, program string, addresses ...string) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Command, cfg.Listen = []string{program}, nil
	for _, address := range addresses {
		cfg.Listen = append(cfg.Listen, mustAddress(t, address))
	}
	return cfg
}

func sharing(cfg config.Config) config.Config {
	cfg.Queue = "shared"
	return cfg
}

// mustOpenSockets opens revision 1 and has it served in every slot.
func mustOpenSockets(t testing.TB, slots int, cfg config.Config) *sockets {
	t.Helper()
	s := newSockets(nil)
	t.Cleanup(func() { mustDo(t, s.close()) })
	mustDo(t, s.grow(1, cfg, slots))
	mustServeAll(t, s, 1, slots)
	return s
}

func mustDo(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustServeAll is the end of a reload: every slot is served by the revision.
func mustServeAll(t testing.TB, s *sockets, revision uint64, slots int) {
	t.Helper()
	for slot := range slots {
		s.serve(revision, slot)
	}
	mustDo(t, s.apply())
}

func mustRefuse(t testing.TB, address string) {
	t.Helper()
	c, err := dial(address)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOENT) {
		t.Errorf("%s: got %v, want a refusal", address, err)
	}
}

// dial connects to an address as the status shows it.
func dial(address string) (net.Conn, error) {
	network, name := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, name = "unix", path
	}
	return net.DialTimeout(network, name, testproc.Patience)
}

func mustDial(t testing.TB, address string) {
	t.Helper()
	c, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
}

// acceptAll takes what waits in the sockets of a slot, and counts it.
func acceptAll(s *sockets, revision uint64, slot int) (n int) {
	for _, l := range s.of(revision, slot) {
		for {
			c, _, err := unix.Accept4(l.FD, unix.SOCK_CLOEXEC)
			if err != nil {
				break
			}
			_ = unix.Close(c)
			n++
		}
	}
	return n
}

// listeners counts the sockets that listen on the port of an address.
func listeners(t testing.TB, address string) int {
	t.Helper()
	return testproc.Listeners(t, mustAddress(t, address).Port)
}

func TestSocketsGrowAndShrink(t *testing.T) {
	t.Parallel()
	cfg := listening(t, "a", "127.0.0.1:0", "127.0.0.1:0", "unix:"+filepath.Join(testproc.SocketDir(t), "web"))
	s := mustOpenSockets(t, 1, cfg)
	addresses := s.addresses()
	for _, slots := range []int{3, 2} { // it never closes a slot that is there
		mustDo(t, s.grow(1, cfg, slots))
		mustServeAll(t, s, 1, 3)
		for _, address := range addresses[:2] {
			if got := listeners(t, address); got != 3 {
				t.Errorf("%d sockets listen on %s, want 3", got, address)
			}
		}
	}
	for i, l := range s.of(1, 2) {
		if l.Name != fmt.Sprint(i) {
			t.Errorf("socket %d is named %q, want the position of its address", i, l.Name)
		}
	}
	mustDo(t, s.shrink(2))
	if got := listeners(t, addresses[0]); got != 2 {
		t.Errorf("%d sockets listen, want 2", got)
	}
	if got := s.waiting(1, 2); got != 0 {
		t.Errorf("%d connections wait in a slot that is not there", got)
	}
	if got := s.of(1, 2); len(got) != 0 {
		t.Errorf("a slot that is not there has %v", got)
	}
}

// TestNewSlotsGetNothingBeforeTheyServe: what came to them would be lost if the
// scale failed.
func TestNewSlotsGetNothingBeforeTheyServe(t *testing.T) {
	t.Parallel()
	cfg := listening(t, "a", "127.0.0.1:0")
	s := mustOpenSockets(t, 1, cfg)
	mustDo(t, s.grow(1, cfg, 4))
	mustDo(t, s.apply())
	if !s.steered() {
		t.Error("no program keeps connections from the new slots")
	}
	for range 50 {
		mustDial(t, s.addresses()[0])
	}
	if got := acceptAll(s, 1, 0); got != 50 {
		t.Errorf("%d of 50 connections came to the slot that serves", got)
	}
	mustServeAll(t, s, 1, 4)
	if s.steered() {
		t.Error("a program chooses where all serve")
	}
}

// TestRetiringSlotsGetNothingMore: what waits there is left to their workers.
func TestRetiringSlotsGetNothingMore(t *testing.T) {
	t.Parallel()
	s := mustOpenSockets(t, 3, listening(t, "a", "127.0.0.1:0"))
	for range 60 {
		mustDial(t, s.addresses()[0])
	}
	before := s.waiting(1, 1) + s.waiting(1, 2)
	s.retire(1)
	mustDo(t, s.apply())
	for range 60 {
		mustDial(t, s.addresses()[0])
	}
	if s.exclusive(1, 0) || !s.exclusive(1, 1) || !s.exclusive(1, 2) {
		t.Error("the sockets of slots 1 and 2, and no others, are left to their workers")
	}
	if got := acceptAll(s, 1, 1) + acceptAll(s, 1, 2); got != before || before == 0 {
		t.Errorf("the slots that retire have %d connections, want the %d of before", got, before)
	}
	if got := acceptAll(s, 1, 0); got != 120-before {
		t.Errorf("the slot that stays has %d connections, want %d", got, 120-before)
	}
	for _, slot := range []int{2, 1} {
		mustDo(t, s.shrink(slot))
	}
}

// TestSocketsGrowAllOrNothing: of three changes at once the last one fails.
func TestSocketsGrowAllOrNothing(t *testing.T) {
	t.Parallel()
	holder, err := net.Listen("tcp4", "127.0.0.1:0")
	mustDo(t, err)
	defer holder.Close()
	dir := testproc.SocketDir(t)
	s := mustOpenSockets(t, 2, listening(t, "a", "127.0.0.1:0", "unix:"+dir+"/web"))
	old := s.addresses()
	bad := listening(t, "b", "127.0.0.1:0", "unix:"+dir+"/web", "127.77.1.1:0", "unix:"+dir+"/more", "[::1]:0", holder.Addr().String())
	for range 3 {
		err = s.grow(2, bad, 4)
		var taken *listen.TakenError
		if !errors.As(err, &taken) || taken.Address != holder.Addr().String() {
			t.Fatalf("grow: %v, want that %v is taken", err, holder.Addr())
		}
	}
	if got := listeners(t, old[0]); got != 2 || !slices.Equal(s.addresses(), old) || len(s.endpoints) != 2 || len(s.editions) != 1 {
		t.Errorf("%d sockets listen on the old port; addresses %v, %d endpoints, %d editions", got, s.addresses(), len(s.endpoints), len(s.editions))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, want one socket", entries)
	}
	for range 20 {
		mustDial(t, old[0])
	}
	if got := acceptAll(s, 1, 0) + acceptAll(s, 1, 1); got != 20 {
		t.Errorf("%d of 20 connections came to the old sockets", got)
	}
}

// TestSocketsOpenAllOrNothing: the addresses before the one that is taken are
// free again.
func TestSocketsOpenAllOrNothing(t *testing.T) {
	t.Parallel()
	holder, err := net.Listen("tcp4", "127.0.0.1:0")
	mustDo(t, err)
	defer holder.Close()
	first := newSockets(nil)
	mustDo(t, first.grow(1, listening(t, "a", "127.77.1.2:0"), 1))
	address := first.addresses()[0]
	mustDo(t, first.close())
	s := newSockets(nil)
	err = s.grow(1, listening(t, "a", address, holder.Addr().String()), 2)
	var taken *listen.TakenError
	if !errors.As(err, &taken) || taken.Address != holder.Addr().String() {
		t.Errorf("grow: %v, want that %v is taken", err, holder.Addr())
	}
	mustOpenSockets(t, 1, listening(t, "a", address))
}

// listeningApp is listening with workers of our own, whose next generation may
// have the same sockets.
func listeningApp(t testing.TB, addresses ...string) config.Config {
	t.Helper()
	cfg := listening(t, "", addresses...)
	cfg.Command = nil
	return cfg
}

// TestSameAddressesKeepTheirSockets, however they are written and in whatever
// order.
func TestSameAddressesKeepTheirSockets(t *testing.T) {
	t.Parallel()
	path := "unix:" + filepath.Join(testproc.SocketDir(t), "web")
	s := mustOpenSockets(t, 2, listeningApp(t, "127.0.0.1:0", "[::]:0", "127.0.0.1:0", path))
	old := s.addresses()
	port := strings.TrimPrefix(old[1], "[::]")
	mustDo(t, s.grow(2, listeningApp(t, path, "*"+port, "localhost:0", "127.0.0.1:0"), 2))
	mustServeAll(t, s, 2, 2)
	if got, want := s.addresses(), []string{old[3], old[1], old[0], old[2]}; !slices.Equal(got, want) {
		t.Errorf("the addresses are %v, want %v", got, want)
	}
	if s.exclusive(1, 0) || s.waiting(1, 0) != 0 {
		t.Error("something is left to the old workers")
	}
	mustDo(t, s.forget(1))
	mustDo(t, s.grow(3, listeningApp(t, old[0]), 2)) // the port that 0 became
	mustServeAll(t, s, 3, 2)
	for _, address := range old[1:] {
		mustRefuse(t, address)
	}
	if got := s.addresses(); !slices.Equal(got, old[:1]) || s.of(3, 1)[0].FD != s.of(2, 1)[2].FD {
		t.Errorf("the addresses are %v, want %v with the same sockets", got, old[:1])
	}
}

// TestFreshSocketsForAnotherProgram, and for another queue.
func TestFreshSocketsForAnotherProgram(t *testing.T) {
	t.Parallel()
	builtin := config.Default()
	path := "unix:" + filepath.Join(testproc.SocketDir(t), "web")
	with := func(change func(*config.Config)) config.Config {
		cfg := builtin
		change(&cfg)
		cfg.Listen = []config.Address{mustAddress(t, "127.0.0.1:0"), mustAddress(t, path)}
		return cfg
	}
	for name, test := range map[string]struct {
		from, to         config.Config
		freshTCP, freshX bool
	}{
		"nothing":  {with(func(*config.Config) {}), with(func(c *config.Config) { c.MaxBody = 7 }), false, false},
		"app":      {with(func(*config.Config) {}), with(func(c *config.Config) { c.App = "echo" }), true, true},
		"engine":   {with(func(*config.Config) {}), with(func(c *config.Config) { c.Engine = "goroutines" }), true, true},
		"command":  {with(func(*config.Config) {}), with(func(c *config.Config) { c.Command = []string{"a"} }), true, true},
		"argument": {with(func(c *config.Config) { c.Command = []string{"a"} }), with(func(c *config.Config) { c.Command = []string{"a", "-v"} }), true, true},
		"another release of a command": {with(func(c *config.Config) { c.Command = []string{"a"} }),
			with(func(c *config.Config) { c.Command = []string{"a"} }), true, true},
		"queue": {with(func(*config.Config) {}), with(func(c *config.Config) { c.Queue = "shared" }), true, false},
		"mode":  {with(func(*config.Config) {}), with(func(c *config.Config) { path += ",mode=0600" }), false, true},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they have one path
			s := newSockets(nil)
			defer func() { mustDo(t, s.close()) }()
			mustDo(t, s.grow(1, test.from, 2))
			mustServeAll(t, s, 1, 2)
			mustDo(t, s.grow(2, test.to, 2))
			for i, fresh := range []bool{test.freshTCP, test.freshX} {
				if got := s.of(1, 0)[i].FD != s.of(2, 0)[i].FD; got != fresh {
					t.Errorf("address %d has fresh sockets: %v, want %v", i, got, fresh)
				}
			}
			mustServeAll(t, s, 2, 2)
			if got, want := s.exclusive(1, 0), test.freshTCP || test.freshX; got != want {
				t.Errorf("something is left to the old workers: %v, want %v", got, want)
			}
			mustDo(t, s.forget(1))
			mustDo(t, s.apply())
			want := 2
			if test.to.Queue == "shared" {
				want = 1
			}
			if got := listeners(t, s.addresses()[0]); got != want {
				t.Errorf("%d sockets listen, want %d", got, want)
			}
		})
	}
}

// TestRolledBackChangeLeavesNoTrace: its new address refuses, what is fresh on an
// old one never got a connection.
func TestRolledBackChangeLeavesNoTrace(t *testing.T) {
	t.Parallel()
	dir := testproc.SocketDir(t)
	s := mustOpenSockets(t, 2, listening(t, "a", "127.0.0.1:0", "unix:"+dir+"/web"))
	old := s.addresses()
	mustDo(t, s.grow(2, listening(t, "b", "127.0.0.1:0", "unix:"+dir+"/web", "127.0.0.1:0", "unix:"+dir+"/more"), 3))
	mustDo(t, s.apply())
	added := s.editions[2].groups[2].Address()
	mustDial(t, added)
	mustDial(t, "unix:"+dir+"/more")
	for range 20 {
		mustDial(t, old[0])
		mustDial(t, old[1])
	}
	mustDo(t, s.abandon(2))
	mustRefuse(t, added)
	mustRefuse(t, "unix:"+dir+"/more")
	if !s.exclusive(2, 0) {
		t.Error("nothing is left to the workers of the change")
	}
	testproc.Await(t, "the queues to be known", func() bool {
		return s.waiting(2, 0)+s.waiting(2, 1)+s.waiting(2, 2) >= 2 // the Unix socket is every slot's
	})
	taken := acceptAll(s, 2, 0) + acceptAll(s, 2, 1) + acceptAll(s, 2, 2)
	if taken != 2 {
		t.Errorf("the workers of the change find %d connections, want the two on the new addresses", taken)
	}
	mustDo(t, s.forget(2))
	mustDo(t, s.shrink(2))
	if got := acceptAll(s, 1, 0) + acceptAll(s, 1, 1); got != 40 {
		t.Errorf("%d of 40 connections came to the old sockets", got)
	}
	if got := listeners(t, old[0]); got != 2 {
		t.Errorf("%d sockets listen, want 2", got)
	}
}

// TestRemovedAddressCanComeBack while its old sockets are still being emptied.
func TestRemovedAddressCanComeBack(t *testing.T) {
	t.Parallel()
	path := "unix:" + filepath.Join(testproc.SocketDir(t), "web")
	s := mustOpenSockets(t, 2, listening(t, "a", "127.0.0.1:0", "127.0.0.1:0", path))
	addresses := s.addresses()
	mustDial(t, addresses[1])
	mustDo(t, s.grow(2, listening(t, "a", addresses[0]), 2))
	mustServeAll(t, s, 2, 2)
	mustRefuse(t, addresses[1])
	mustRefuse(t, path)
	mustDo(t, s.grow(3, listening(t, "a", addresses...), 2))
	mustServeAll(t, s, 3, 2)
	for range 10 {
		mustDial(t, addresses[1])
		mustDial(t, path)
	}
	if got := acceptAll(s, 3, 0) + acceptAll(s, 3, 1); got != 20 {
		t.Errorf("%d of 20 connections came to the new sockets", got)
	}
	if got := acceptAll(s, 1, 0) + acceptAll(s, 1, 1); got != 1 {
		t.Errorf("the old sockets have %d connections, want the one of before", got)
	}
	mustDo(t, s.forget(1))
	mustDo(t, s.forget(2))
	mustDial(t, path) // the old one has not removed the new one's file
	mustDial(t, addresses[1])
}

// TestAddressGrowsToAllInterfaces by one reload, and does not shrink by one.
func TestAddressGrowsToAllInterfaces(t *testing.T) {
	t.Parallel()
	for _, wide := range []string{"0.0.0.0", "[::]"} {
		s := mustOpenSockets(t, 2, listening(t, "a", "127.0.0.1:0"))
		narrow := s.addresses()[0]
		port := strings.TrimPrefix(narrow, "127.0.0.1")
		mustDo(t, s.grow(2, listening(t, "a", wide+port), 2))
		for range 10 {
			mustDial(t, narrow)
		}
		mustServeAll(t, s, 2, 2)
		for range 10 {
			mustDial(t, narrow)
		}
		if before, after := acceptAll(s, 1, 0)+acceptAll(s, 1, 1), acceptAll(s, 2, 0)+acceptAll(s, 2, 1); before != 10 || after != 10 {
			t.Errorf("%s: %d connections came to the old sockets and %d to the new ones, want 10 and 10", wide, before, after)
		}
		mustDo(t, s.forget(1))
		if err := s.grow(3, listening(t, "a", narrow), 2); err == nil || !strings.Contains(err.Error(), "change the port as well, or restart") {
			t.Errorf("back to %s: got %v", narrow, err)
		}
		mustDial(t, narrow)
	}
}

// TestSharedQueue: one socket for all, also from and to a socket for each slot.
func TestSharedQueue(t *testing.T) {
	t.Parallel()
	s := mustOpenSockets(t, 3, sharing(listening(t, "a", "127.0.0.1:0")))
	address := s.addresses()[0]
	if got := listeners(t, address); got != 1 || s.of(1, 0)[0].FD != s.of(1, 2)[0].FD || s.status()[0].ReusePort {
		t.Errorf("%d sockets listen, status %+v", got, s.status())
	}
	for revision, cfg := range []config.Config{2: listening(t, "a", address), 3: sharing(listening(t, "a", address)), 4: sharing(listening(t, "b", address))} {
		if revision < 2 {
			continue
		}
		before, now := uint64(revision-1), uint64(revision)
		mustDo(t, s.grow(now, cfg, 3))
		mustDial(t, address)
		for slot := range 3 {
			s.serve(now, slot)
			mustDo(t, s.apply())
			if last := slot == 2; s.exclusive(before, 2) != last {
				t.Errorf("revision %d: with slots to %d moved the socket of slot 2 is left alone: %v", now, slot, !last)
			}
		}
		mustDial(t, address)
		old, fresh := 0, 0
		for slot := range 3 {
			old += acceptAll(s, before, slot)
			fresh += acceptAll(s, now, slot)
		}
		if old != 1 || fresh != 1 {
			t.Errorf("revision %d: %d connections came to the old sockets, %d to the new, want one each", now, old, fresh)
		}
		mustDo(t, s.forget(before))
		mustDo(t, s.apply())
	}
	if got := listeners(t, address); got != 1 {
		t.Errorf("%d sockets listen, want one", got)
	}
}

// TestStopRefusesAndKeepsTheQueues.
func TestStopRefusesAndKeepsTheQueues(t *testing.T) {
	t.Parallel()
	path := "unix:" + filepath.Join(testproc.SocketDir(t), "web")
	s := mustOpenSockets(t, 2, listening(t, "a", "127.0.0.1:0", path))
	for _, address := range s.addresses() {
		mustDial(t, address)
	}
	mustDo(t, s.refuseAll())
	for _, address := range s.addresses() {
		mustRefuse(t, address)
	}
	if !s.exclusive(1, 0) {
		t.Error("nothing is left to the workers")
	}
	if got := acceptAll(s, 1, 0) + acceptAll(s, 1, 1); got != 2 {
		t.Errorf("%d of 2 connections could be accepted", got)
	}
	testproc.Await(t, "empty queues", func() bool { return s.waiting(1, 0)+s.waiting(1, 1) == 0 })
	for _, slot := range []int{1, 0} {
		mustDo(t, s.shrink(slot))
	}
}

// TestSocketThatWasShutDownKeepsItsPlace: the kernel has put it to the end of the
// group, and the program must name it there.
func TestSocketThatWasShutDownKeepsItsPlace(t *testing.T) {
	t.Parallel()
	s := mustOpenSockets(t, 3, listening(t, "a", "127.0.0.1:0"))
	mustDo(t, s.grow(2, listening(t, "b", "127.0.0.1:0"), 3))
	mustServeAll(t, s, 2, 3)
	fd := s.of(2, 0)[0].FD
	mustDo(t, unix.Shutdown(fd, unix.SHUT_RD))
	if revived, err := listen.Relisten(fd); !revived || err != nil {
		t.Fatalf("it listens again: %v, %v", revived, err)
	}
	s.relistened(fd)
	mustDo(t, s.apply())
	for range 60 {
		mustDial(t, s.addresses()[0])
	}
	for slot := range 3 {
		if old, fresh := acceptAll(s, 1, slot), acceptAll(s, 2, slot); old != 0 || fresh == 0 {
			t.Errorf("slot %d: %d connections came to the old socket, %d to the new one", slot, old, fresh)
		}
	}
}

// TestHandshakesOfBeforeAreWaitedFor, and clients that have vanished not for ever.
// With TCP_DEFER_ACCEPT a handshake is not over before the client says something.
func TestHandshakesOfBeforeAreWaitedFor(t *testing.T) {
	t.Parallel()
	s := mustOpenSockets(t, 1, listening(t, "a", "127.0.0.1:0"))
	now := time.Now()
	s.now = func() time.Time { return now }
	mustDo(t, unix.SetsockoptInt(s.of(1, 0)[0].FD, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30))
	speaks, err := dial(s.addresses()[0])
	mustDo(t, err)
	defer speaks.Close()
	mustDial(t, s.addresses()[0]) // says nothing
	mustDo(t, s.grow(2, listening(t, "b", "127.0.0.1:0"), 1))
	if s.waiting(1, 0) != 0 || s.exclusive(1, 0) {
		t.Error("something is left to a worker that still serves")
	}
	mustServeAll(t, s, 2, 1)
	mustWait := func(want int) {
		t.Helper()
		if got := s.waiting(1, 0); got != want || !s.exclusive(1, 0) {
			t.Errorf("%d are waited for, want %d", got, want)
		}
	}
	mustWait(1) // nobody can know yet
	now = now.Add(settleTime)
	mustWait(2)
	_, err = speaks.Write([]byte("hello"))
	mustDo(t, err)
	testproc.Await(t, "the connection", func() bool { return acceptAll(s, 1, 0) == 1 })
	now = now.Add(handshakesLook)
	mustWait(1)
	mustDial(t, s.addresses()[0]) // comes later, and to the fresh socket
	now = now.Add(handshakesLook)
	mustWait(1)
	now = now.Add(handshakesMax)
	mustWait(0)
}
