package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// Group is one address and the sockets of its slots. It owns them.
type Group struct {
	addr  config.Address // with the port that port 0 became
	claim int            // from Open until the first Add, then noFD: see openClaim
	slots []int          // the socket of each slot
}

const noFD = -1

// Open claims addr; it has no slots yet. When somebody else has the address, the
// error is a *TakenError. Clients that connect before the first Add are neither
// served nor refused: they try again after a second.
func Open(addr config.Address) (*Group, error) {
	claim, err := openClaim(addr)
	if err != nil {
		return nil, err
	}
	g := &Group{addr: addr, claim: claim}
	if g.addr.Port, err = portOf(claim); err != nil {
		return nil, errors.Join(fmt.Errorf("resolve port of %s: %w", addr, err), g.Close())
	}
	return g, nil
}

// Add opens the socket of a slot. Slots are added in ascending order from 0:
// slot has to equal Slots(). After an error the group is as it was. The error
// is a *TakenError when somebody else took the address since Open.
func (g *Group) Add(slot int) error {
	if slot != len(g.slots) {
		return fmt.Errorf("listen on %s for slot %d: slot %d comes next", g.addr, slot, len(g.slots))
	}
	fd, err := openListener(g.addr)
	if err != nil {
		return err
	}
	g.slots = append(g.slots, fd)
	// The claim was first in the group; when it goes, the last one, which is
	// slot 0, takes its place.
	return g.dropClaim()
}

// Remove closes the socket of the highest slot. What waits in its queue is reset.
func (g *Group) Remove(slot int) error {
	highest := len(g.slots) - 1
	if slot != highest || slot < 0 {
		return fmt.Errorf("close socket of %s for slot %d: only the highest slot (%d) can go", g.addr, slot, highest)
	}
	fd := g.slots[highest]
	g.slots = g.slots[:highest]
	return os.NewSyscallError("close", unix.Close(fd))
}

// FD is the listening socket of a slot below Slots(). It stays the group's.
func (g *Group) FD(slot int) int { return g.slots[slot] }

// Slots is the number of slots that have a socket.
func (g *Group) Slots() int { return len(g.slots) }

// Address is what a client connects to, by number: "127.0.0.1:8080",
// "[::]:8080". It never has port 0.
func (g *Group) Address() string {
	return netip.AddrPortFrom(g.addr.IP, uint16(g.addr.Port)).String()
}

// Close closes every socket, the highest slot's first. What waits in their
// queues is reset. A second call does nothing.
func (g *Group) Close() error {
	errs := []error{g.dropClaim()}
	for len(g.slots) > 0 {
		errs = append(errs, g.Remove(len(g.slots)-1))
	}
	return errors.Join(errs...)
}

func (g *Group) dropClaim() error {
	if g.claim == noFD {
		return nil
	}
	claim := g.claim
	g.claim = noFD
	return os.NewSyscallError("close", unix.Close(claim))
}
