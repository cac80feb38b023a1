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
		for _, fd := range g.Sockets(slot) {
			if length, _, err := listen.Queue(fd); err == nil {
				n += length
			}
		}
		if s.isLeft(g, slot) {
			n += g.endpoint.unsettled(g.FD(slot), s.now())
		}
	}
	return n
}

// queues counts the connections that wait in each slot for whoever serves it, by
// slot. What all slots share is counted once, for the first of them.
func (s *sockets) queues() []int {
	waiting := make([]int, s.slots())
	counted := map[*group]bool{}
	for slot := range waiting {
		for _, g := range s.groupsOf(s.served[slot]) {
			if slot >= g.Slots() || g.Shared() && counted[g] {
				continue
			}
			counted[g] = true
			for _, fd := range g.Sockets(slot) {
				if length, _, err := listen.Queue(fd); err == nil {
					waiting[slot] += length
				}
			}
		}
	}
	return waiting
}

// slots is how many slots have somebody who serves them, or had: the highest
// number and all below it.
func (s *sockets) slots() (n int) {
	for slot := range s.served {
		n = max(n, slot+1)
	}
	return n
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

// ring are the sockets of the slots after this one, the first one's again after the
// last: those of so many slots.
func (s *sockets) ring(revision uint64, slot, slots int) (fds []int) {
	all := 0
	for _, g := range s.groupsOf(revision) {
		all = max(all, g.Slots())
	}
	for n := 1; n <= min(slots, all-1); n++ {
		fds = append(fds, s.alone(revision, (slot+n)%all)...)
	}
	return fds
}

// everAt are the sockets that only the slot has, of every edition.
func (s *sockets) everAt(slot int) (fds []int) {
	for _, p := range s.endpoints {
		for _, g := range p.groups {
			if slot < g.Slots() && !g.Shared() {
				fds = append(fds, g.Sockets(slot)...)
			}
		}
	}
	return fds
}

// left counts what waits in the sockets of a slot that nobody serves any more, of
// every edition, with the handshakes that may still end there.
func (s *sockets) left(slot int) (n int) {
	for _, p := range s.endpoints {
		for _, g := range p.groups {
			if slot >= g.Slots() || g.Shared() {
				continue
			}
			for _, fd := range g.Sockets(slot) {
				if length, _, err := listen.Queue(fd); err == nil {
					n += length
				}
			}
			n += p.unsettled(g.FD(slot), s.now())
		}
	}
	return n
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
