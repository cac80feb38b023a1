package master

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"

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

func mustOpenSockets(t testing.TB, slots int, addresses ...string) *sockets {
	t.Helper()
	var list []config.Address
	for _, address := range addresses {
		list = append(list, mustAddress(t, address))
	}
	s, err := openSockets(list, slots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// mustHave checks that every address has so many slots, and that each slot's
// sockets are the ones of its addresses.
func mustHave(t testing.TB, s *sockets, slots int) {
	t.Helper()
	for i, g := range s.groups {
		if got := g.Slots(); got != slots {
			t.Errorf("address %d has %d slots, want %d", i, got, slots)
		}
	}
	for slot := range slots {
		for i, l := range s.of(slot) {
			name, err := unix.Getsockname(l.FD)
			if err != nil {
				t.Fatal(err)
			}
			if port := name.(*unix.SockaddrInet4).Port; mustAddress(t, s.addresses()[i]).Port != port {
				t.Errorf("socket %q of slot %d has port %d, want that of %s", l.Name, slot, port, s.addresses()[i])
			}
		}
	}
}

func TestSocketsGrowAndShrink(t *testing.T) {
	t.Parallel()
	s := mustOpenSockets(t, 1, "127.0.0.1:0", "127.0.0.1:0")
	mustHave(t, s, 1)
	for _, slots := range []int{3, 2} { // it never closes a slot that is there
		if err := s.grow(slots); err != nil {
			t.Fatal(err)
		}
		mustHave(t, s, 3)
	}
	s.shrink(2)
	mustHave(t, s, 2)
	if got := s.queue(2); got != 0 {
		t.Errorf("%d connections wait in a slot that is not there", got)
	}
	if names := s.of(0); names[0].Name != "0" || names[1].Name != "1" {
		t.Errorf("the sockets are named %+v, want the position of their address", names)
	}
}

// TestSocketsGrowAllOrNothing lets the second address fail where the first one
// does not.
func TestSocketsGrowAllOrNothing(t *testing.T) {
	t.Parallel()
	s := mustOpenSockets(t, 1, "127.0.0.1:0", "127.0.0.1:0")
	if err := s.groups[1].Add(1); err != nil { // out of turn: grow cannot
		t.Fatal(err)
	}
	if err := s.grow(3); err == nil {
		t.Error("no error")
	}
	mustHave(t, s, 1)
	if err := s.grow(3); err != nil {
		t.Error(err)
	}
	mustHave(t, s, 3)
}

// TestSocketsOpenAllOrNothing: the addresses before the one that is taken are
// free again.
func TestSocketsOpenAllOrNothing(t *testing.T) {
	t.Parallel()
	holder, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	first := mustOpenSockets(t, 1, "127.0.0.1:0")
	address := first.addresses()[0]
	first.close()
	_, err = openSockets([]config.Address{mustAddress(t, address), mustAddress(t, holder.Addr().String())}, 2)
	var taken *listen.TakenError
	if !errors.As(err, &taken) || taken.Address != holder.Addr().String() {
		t.Errorf("openSockets: %v, want that %v is taken", err, holder.Addr())
	}
	mustHave(t, mustOpenSockets(t, 1, address), 1)
}
