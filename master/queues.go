package master

import (
	"slices"
	"strconv"

	"prefork/master/config"
	"prefork/master/control"
	"prefork/master/listen"
)

// What can be asked about the sockets.

// waiting counts the connections that wait for a worker of the revision in the
// slot. While it serves the slot these are all in the slot's sockets; afterwards
// those that nobody else will take, with the handshakes that may still end there.
// So a worker that leaves has emptied its sockets when this is 0, and not before.
func (s *sockets) waiting(revision uint64, slot int) (n int) {
	serves := s.served[slot] == revision
	for _, g := range s.groupsOf(revision) {
		if slot >= g.Slots() || !serves && !s.isLeft(g, slot) {
			continue
		}
		// BEFORE the queue: a handshake that ends in between would be in neither.
		if s.isLeft(g, slot) {
			n += g.endpoint.unsettled(g.FD(slot), s.now())
		}
		for _, fd := range g.Sockets(slot) {
			if length, _, err := listen.Queue(fd); err == nil {
				n += length
			}
		}
	}
	return n
}

// waitingIn counts the connections that wait in the slot's own sockets, of all
// editions, with the handshakes that may still end in those that get no new ones.
func (s *sockets) waitingIn(slot int) (n int) {
	for _, p := range s.endpoints {
		coming := 0 // of the whole endpoint: the kernel does not tell to which socket
		for _, g := range p.groups {
			if g.Shared() || slot >= g.Slots() {
				continue
			}
			if s.isLeft(g, slot) { // BEFORE the queue, as in waiting
				coming = p.unsettled(g.FD(slot), s.now())
			}
			if length, _, err := listen.Queue(g.FD(slot)); err == nil {
				n += length
			}
		}
		n += coming
	}
	return n
}

// queues counts the connections that wait in each slot, by number, in the sockets
// of all editions: also what is left to workers that leave can be forgotten. What
// slots share counts for the first of them.
func (s *sockets) queues() (waiting []int) {
	at := &s.glance
	at.fds, at.slots = at.fds[:0], at.slots[:0]
	slots := 0
	for _, p := range s.endpoints {
		for _, g := range p.groups {
			slots = max(slots, g.Slots())
			for slot := range g.Slots() {
				if g.Shared() && slot > 0 {
					break
				}
				for _, fd := range g.Sockets(slot) {
					at.fds, at.slots = append(at.fds, fd), append(at.slots, slot)
				}
			}
		}
	}
	at.lengths = slices.Grow(at.lengths[:0], len(at.fds))[:len(at.fds)]
	at.lookout.Count(at.fds, at.lengths)
	waiting = make([]int, slots)
	for i, slot := range at.slots {
		waiting[slot] += at.lengths[i]
	}
	return waiting
}

// dropped counts what the kernel has dropped at the sockets of all editions, those
// that have closed too.
func (s *sockets) dropped() uint64 {
	for _, p := range s.endpoints {
		for _, g := range p.groups {
			for slot := range g.Slots() {
				if g.Shared() && slot > 0 {
					break
				}
				for _, fd := range g.Sockets(slot) {
					s.drops.see(fd)
				}
			}
		}
	}
	return s.drops.total
}

// glance is what one look at all queues needs, kept for the next one.
type glance struct {
	fds, slots, lengths []int
	lookout             listen.Lookout
}

// alone are the sockets that only the slot has, of the addresses of the revision:
// what a sibling can watch.
func (s *sockets) alone(revision uint64, slot int) (fds []int) {
	for _, g := range s.groupsOf(revision) {
		if slot < g.Slots() && !g.Shared() {
			fds = append(fds, g.Sockets(slot)...)
		}
	}
	return fds
}

// ring are the sockets of so many slots after this one, in a ring of the first
// staying slots: none of those that retire, and none that the revision does not have.
func (s *sockets) ring(revision uint64, slot, helpers, staying int) (fds []int) {
	all := 0
	for _, g := range s.groupsOf(revision) {
		all = max(all, min(g.Slots(), staying))
	}
	for n := 1; n <= min(helpers, all-1); n++ {
		fds = append(fds, s.alone(revision, (slot+n)%all)...)
	}
	return fds
}

// exclusive tells whether some of the slot's sockets are left to the workers of
// the revision: they get no new connections, and whoever serves the slot now
// does not have them. What waits there is lost when these workers leave too early.
func (s *sockets) exclusive(revision uint64, slot int) bool {
	return slices.ContainsFunc(s.groupsOf(revision), func(g *group) bool { return slot < g.Slots() && s.isLeft(g, slot) })
}

// isLeft tells whether a slot's socket gets no new connections, or nobody serves
// what it gets.
func (s *sockets) isLeft(g *group, slot int) bool {
	if g.endpoint.refused {
		return true
	}
	if g.Shared() {
		return !s.serves(g)
	}
	return !slices.Contains(s.groupsOf(s.served[slot]), g)
}

// newest is the revision that was last told to serve; before that, the only one.
func (s *sockets) newest() (last uint64) {
	for _, revision := range s.served {
		last = max(last, revision)
	}
	if last == 0 {
		for revision := range s.editions {
			last = max(last, revision)
		}
	}
	return last
}

// steered tells whether a program of ours chooses among the sockets anywhere.
func (s *sockets) steered() bool {
	return slices.ContainsFunc(s.endpoints, func(p *endpoint) bool { return p.order.Programmed() })
}

// addresses are what clients connect to, in the order of the configuration that
// serves.
func (s *sockets) addresses() (list []string) {
	for _, st := range s.status() {
		list = append(list, st.Address)
	}
	return list
}

func (s *sockets) status() []control.ListenStatus {
	list := []control.ListenStatus{}
	e := s.editions[s.newest()]
	if e == nil {
		return list
	}
	for i, g := range e.groups {
		list = append(list, control.ListenStatus{Name: strconv.Itoa(i), Address: g.Address(), ReusePort: !g.Shared()})
	}
	return list
}

// unused are the names of sockets that systemd has passed and no address names.
func (s *sockets) unused() (addresses []string) {
	for _, name := range s.inherited.Names() {
		addresses = append(addresses, config.Address{Network: config.NetworkSystemd, Name: name}.String())
	}
	return addresses
}
