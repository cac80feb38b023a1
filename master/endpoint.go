package master

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"prefork/master/config"
	"prefork/master/listen"
	"prefork/master/steer"
)

const (
	// settleTime is how long a change of who gets new connections may take until
	// the kernel has forgotten how it was: connections may still come to sockets
	// that are not live any more.
	settleTime = 2 * time.Millisecond
	// handshakesMax is how long handshakes that had begun before are waited for.
	// A client that has vanished would keep its own for a minute.
	handshakesMax = 3 * time.Second
	// handshakesLook is how often they are looked at, whoever asks: the kernel goes
	// through all connections of the machine.
	handshakesLook = 10 * time.Millisecond
)

// endpoint is one place where clients connect, and the groups of sockets that
// listen there: usually one, and two while workers of another program take over.
// The kernel sees one reuseport group.
type endpoint struct {
	written config.Address // as configured: perhaps with port 0
	groups  []*group       // the oldest first
	order   steer.Order    // of TCP; it owns what the groups have released
	drops   *drops         // of all endpoints
	served  bool           // somebody was told to serve here
	refused bool           // new clients are refused

	movedAt time.Time                   // when sockets last ceased to get new connections
	early   map[netip.AddrPort]struct{} // handshakes that had begun then; nil: nobody has looked
	looked  time.Time                   // at early
}

// group is a group of sockets for workers of one program, since these set
// O_NONBLOCK and the like for everybody who holds the sockets.
type group struct {
	*listen.Group
	endpoint *endpoint
	program  string
}

// programKey is the same for configurations whose workers may share open files. A
// COMMAND of the same words is another program after a deployment, and what one
// does to an open file (O_NONBLOCK, shutdown) the other suffers: a release that is
// rolled back would take the old generation with it.
func programKey(revision uint64, cfg config.Config) string {
	if len(cfg.Command) > 0 {
		return fmt.Sprintf("COMMAND of revision %d", revision)
	}
	if cfg.TLS() { // who has connected to speak to one must not meet the other
		return cfg.App + " " + cfg.Engine + " TLS"
	}
	return cfg.App + " " + cfg.Engine
}

// suits tells whether the group is what the address asks for. Sockets of systemd
// are what they are: nobody but systemd could make others.
func (g *group) suits(addr config.Address, shared bool, program string) bool {
	switch addr.Network {
	case config.NetworkSystemd:
		return true
	case config.NetworkUnix:
		return g.Config() == addr && g.program == program
	}
	return g.Shared() == shared && g.program == program
}

// isAt tells whether addr leads here, also when it says the port that port 0
// became.
func (p *endpoint) isAt(addr config.Address) bool {
	return p.written.SamePlace(addr) || p.groups[0].Config().SamePlace(addr)
}

// isTCP: others are one socket that clients find or do not.
func (p *endpoint) isTCP() bool { return p.written.IsTCP() }

func newEndpoint(written config.Address, drops *drops) *endpoint {
	return &endpoint{written: written, drops: drops, order: steer.Order{Refuse: listen.RefuseSocket}}
}

func (p *endpoint) join(g *listen.Group, program string) *group {
	joined := &group{Group: g, endpoint: p, program: program}
	p.groups = append(p.groups, joined)
	return joined
}

// grow gives the group sockets for slots below slots. They get no connections
// while others on the endpoint do.
func (p *endpoint) grow(g *group, slots int) error {
	for slot := g.Slots(); slot < slots; slot++ {
		if p.isTCP() && !p.refused {
			if err := p.order.Brace(); err != nil { // BEFORE it listens
				return err
			}
		}
		if err := g.Add(slot); err != nil {
			return err
		}
		for _, fd := range g.Sockets(slot) {
			p.drops.see(fd)
		}
		if p.isTCP() && (slot == 0 || !g.Shared()) {
			p.order.Join(g.FD(slot))
		}
	}
	return nil
}

// shrink takes the group's slots from slots on away.
func (p *endpoint) shrink(g *group, slots int) (err error) {
	for slot := g.Slots() - 1; slot >= slots; slot-- {
		fds, e := g.Release(slot)
		for _, fd := range fds {
			p.drops.forget(fd)
			p.order.Leave(fd)
		}
		err = errors.Join(err, e)
	}
	return err
}

// settle makes the kernel agree with who serves: live are the slots of each group
// that somebody serves. somebody tells that anybody serves anything at all.
func (p *endpoint) settle(live map[*group][]int, somebody bool, now time.Time) error {
	if p.refused {
		return p.order.Settle()
	}
	if len(live) > 0 {
		p.served = true
	} else if p.served && somebody {
		return errors.Join(p.refuse(now), p.order.Settle())
	}
	if !p.isTCP() {
		return p.show(live, now)
	}
	fds := map[int]bool{}
	for g, slots := range live {
		for _, slot := range slots {
			fds[g.FD(slot)] = true
		}
	}
	for _, fd := range p.order.FDs() {
		if p.order.Live(fd) && !fds[fd] {
			p.moved(now)
		}
	}
	p.order.SetLive(func(fd int) bool { return fds[fd] })
	return p.order.Settle()
}

// show lets the path of a Unix socket lead to the group that most slots serve.
// There can be only one; while slots move one by one it stays until half of them
// have moved.
func (p *endpoint) show(live map[*group][]int, now time.Time) error {
	var found, best *group
	for _, g := range p.groups {
		if g.Found() {
			found = g
		}
	}
	best = found
	for _, g := range p.groups {
		if best == nil || len(live[g]) > len(live[best]) {
			best = g
		}
	}
	if best == found || best == nil || len(live[best]) == 0 {
		return nil
	}
	p.moved(now)
	if found == nil {
		return best.Show(nil)
	}
	return best.Show(found.Group)
}

// moved notes that connections go elsewhere from now on.
func (p *endpoint) moved(now time.Time) { p.movedAt, p.early = now, nil }

// refuse takes the address away from new clients: all sockets of the endpoint,
// also those that wait to be closed. systemd listens on, whatever we do.
func (p *endpoint) refuse(now time.Time) error {
	if p.refused || p.written.Network == config.NetworkSystemd {
		return nil
	}
	p.refused = true
	p.moved(now)
	var errs []error
	for _, g := range p.groups {
		errs = append(errs, g.Refuse())
	}
	for _, fd := range p.order.FDs() {
		errs = append(errs, listen.RefuseSocket(fd))
	}
	p.order.End()
	return errors.Join(errs...)
}

// drop closes a group that nobody needs any more.
func (p *endpoint) drop(g *group) error {
	if g.Slots() > 0 {
		for _, fd := range g.Sockets(0) { // also of those that Close closes
			p.drops.forget(fd)
		}
	}
	err := p.shrink(g, 0)
	for i := range p.groups {
		if p.groups[i] == g {
			p.groups = append(p.groups[:i:i], p.groups[i+1:]...)
			break
		}
	}
	if len(p.groups) == 0 {
		p.order.End()
	}
	err = errors.Join(err, p.order.Settle())
	if !p.served {
		g.PutBack()
	}
	return errors.Join(err, g.Close())
}

// unsettled counts what may still come to sockets that get no new connections.
// Before settleTime is over nobody can know, so it is at least one.
func (p *endpoint) unsettled(fd int, now time.Time) int {
	since := now.Sub(p.movedAt)
	switch {
	case p.movedAt.IsZero() || since > handshakesMax:
		return 0
	case since < settleTime:
		return 1
	case !p.isTCP():
		return 0
	case p.early != nil && now.Sub(p.looked) < handshakesLook:
		return len(p.early)
	}
	p.looked = now
	clients, err := listen.HalfOpen(fd)
	if err != nil {
		return 0 // the queue alone has to do
	}
	still := map[netip.AddrPort]struct{}{}
	for _, client := range clients {
		if _, early := p.early[client]; early || p.early == nil {
			still[client] = struct{}{}
		}
	}
	if p.early = still; len(still) == 0 {
		p.movedAt = time.Time{} // nobody is left: no need to look again
	}
	return len(still)
}
