package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"prefork/master/config"
)

// Group is one address and its sockets. It owns them.
type Group struct {
	addr   config.Address // with the port that port 0 became
	shared bool           // one socket for all slots
	claim  int            // from Open until the first Add, then noFD: see openClaim
	// fds are the socket of each slot; in a shared group the sockets that every
	// slot has: one, or all that systemd passed under the name.
	fds      []int
	slots    int
	file     file       // of a Unix socket
	inherits *Inherited // where the sockets of systemd came from
	refused  bool
}

const noFD = -1

// Options say how to open an address.
type Options struct {
	// Shared is one socket for all slots. Unix sockets and those of systemd are
	// shared whatever it says.
	Shared bool
	// Own are groups that this process has already. Where one of them overlaps
	// the new address it is no stranger that has taken it.
	Own []*Group
	// Inherited are the sockets that systemd passed; nil: none.
	Inherited *Inherited
}

// Open claims addr; it has no slots yet. When somebody else has the address, the
// error is a *TakenError. Clients of TCP that connect before the first Add are
// neither served nor refused: they try again after a second.
func Open(addr config.Address, opts Options) (*Group, error) {
	g := &Group{addr: addr, shared: opts.Shared || !addr.IsTCP(), claim: noFD}
	var err error
	switch addr.Network {
	case config.NetworkUnix:
		if err = g.openUnix(addr.Path); err == nil {
			removeStaleBeside(addr)
		}
	case config.NetworkSystemd:
		g.inherits = opts.Inherited
		g.fds, err = opts.Inherited.take(addr.Name)
	default:
		err = g.openTCP(opts.Own)
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (g *Group) openTCP(own []*Group) error {
	beside, err := besideOwn(g.addr, own)
	if beside || err != nil {
		return err
	}
	claim, err := openClaim(g.addr)
	if err != nil {
		return err
	}
	g.claim = claim
	if g.addr.Port, err = portOf(claim); err != nil {
		return errors.Join(fmt.Errorf("resolve port of %s: %w", g.addr, err), g.Close())
	}
	return nil
}

// Fresh gives a second group on the same address, without slots, as addr writes
// it now: Unix sockets may have another mode and owner. Sockets of TCP compete
// with those of g from their Add on, unless package steer keeps connections from
// them; a Unix socket is not found before Show. Sockets of systemd cannot be made
// anew.
func (g *Group) Fresh(addr config.Address, shared bool) (*Group, error) {
	if g.inherits != nil {
		return nil, fmt.Errorf("open %s a second time: only systemd can", g.addr)
	}
	addr.Port = g.addr.Port
	fresh := &Group{addr: addr, shared: shared || !addr.IsTCP(), claim: noFD}
	if addr.Network != config.NetworkUnix {
		return fresh, nil
	}
	if err := g.clearWay(); err != nil {
		return nil, err
	}
	if err := fresh.openBeside(); err != nil {
		return nil, err
	}
	return fresh, nil
}

// Add opens the socket of a slot. Slots are added in ascending order from 0:
// slot has to equal Slots(). After an error the group is as it was. The error
// is a *TakenError when somebody else took the address since Open.
func (g *Group) Add(slot int) error {
	if slot != g.slots {
		return fmt.Errorf("listen on %s for slot %d: slot %d comes next", g.addr, slot, g.slots)
	}
	if g.addr.IsTCP() && (!g.shared || slot == 0) {
		fd, err := openListener(g.addr)
		if err != nil {
			return err
		}
		g.fds = append(g.fds, fd)
	}
	g.slots++
	// The claim was first in the group; when it goes, the last one, which is
	// slot 0, takes its place.
	return g.dropClaim()
}

// Remove closes the socket of the highest slot. What waits in its queue is reset.
func (g *Group) Remove(slot int) error {
	fds, err := g.Release(slot)
	for _, fd := range fds {
		err = errors.Join(err, os.NewSyscallError("close", unix.Close(fd)))
	}
	return err
}

// Release takes the highest slot out of the group. The sockets that no slot has
// now are the caller's, to close them: the slot's, or the shared ones after the
// last slot. Those of Unix and systemd stay the group's until Close.
func (g *Group) Release(slot int) (fds []int, err error) {
	highest := g.slots - 1
	if slot != highest || slot < 0 {
		return nil, fmt.Errorf("close socket of %s for slot %d: only the highest slot (%d) can go", g.addr, slot, highest)
	}
	g.slots = highest
	if !g.addr.IsTCP() || g.shared && highest > 0 {
		return nil, nil
	}
	fds = slices.Clone(g.fds[highest:])
	g.fds = g.fds[:highest]
	return fds, nil
}

// FD is the first of Sockets.
func (g *Group) FD(slot int) int { return g.Sockets(slot)[0] }

// Sockets are the listening sockets of a slot below Slots(): one, unless systemd
// passed several under one name. They stay the group's.
func (g *Group) Sockets(slot int) []int {
	if g.shared {
		return g.fds
	}
	return g.fds[slot : slot+1]
}

// Slots is the number of slots that have a socket.
func (g *Group) Slots() int { return g.slots }

// Shared tells whether all slots have the same sockets.
func (g *Group) Shared() bool { return g.shared }

// Config is the address as it was configured, with a port in place of port 0.
func (g *Group) Config() config.Address { return g.addr }

// Address is what a client connects to, by number: "127.0.0.1:8080",
// "[::]:8080", "unix:/run/web.sock". It never has port 0.
func (g *Group) Address() string {
	switch g.addr.Network {
	case config.NetworkUnix:
		return "unix:" + g.addr.Path
	case config.NetworkSystemd:
		return nameOf(g.FD(0))
	}
	return netip.AddrPortFrom(g.addr.IP, uint16(g.addr.Port)).String()
}

// Close closes every socket, the highest slot's first, and removes the file of a
// Unix socket. What waits in their queues is reset. A second call does nothing.
func (g *Group) Close() error {
	errs := []error{g.dropClaim(), g.file.remove()}
	for g.slots > 0 {
		errs = append(errs, g.Remove(g.slots-1))
	}
	if len(g.fds) > 0 && g.inherits != nil {
		g.inherits.giveBack(g.addr.Name)
	}
	for _, fd := range g.fds {
		errs = append(errs, os.NewSyscallError("close", unix.Close(fd)))
	}
	g.fds = nil
	return errors.Join(errs...)
}

// PutBack comes before Close when nobody was ever served here, because a reload
// failed: a later Open finds the sockets of systemd again. Other kinds have
// nothing to put back.
func (g *Group) PutBack() {
	if g.inherits != nil && len(g.fds) > 0 {
		g.inherits.fds[g.addr.Name], g.fds = g.fds, nil
	}
}

func (g *Group) dropClaim() error {
	if g.claim == noFD {
		return nil
	}
	claim := g.claim
	g.claim = noFD
	// A process that is just being forked has a copy until its exec. If the claim
	// left the group only then, the last slot would move to its place.
	_ = unix.Shutdown(claim, unix.SHUT_RDWR) // ENOTCONN: it did not listen yet
	return os.NewSyscallError("close", unix.Close(claim))
}
