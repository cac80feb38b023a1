package master

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"prefork/master/config"
	"prefork/master/listen"
	"prefork/master/process"
)

// sockets are the listening sockets of the service, of every configuration that
// somebody still needs: an edition for each revision.
//
//	edition 1   127.0.0.1:80 ──► group ─┐            edition 2 has another command:
//	            unix:/web    ──► group ─┼─┐          groups of its own on the same
//	edition 2   127.0.0.1:80 ──► group ─┘ │          endpoint, with fresh sockets
//	            unix:/web    ──► group ───┘
//	edition 3   127.0.0.1:80 ──► the group of edition 2: the same command
//	            [::]:81      ──► group ───── endpoint, new; unix:/web refuses
//
// serve says whose connections a slot's are, and apply makes the kernel agree.
type sockets struct {
	editions  map[uint64]*edition
	endpoints []*endpoint // in the order in which they were opened
	inherited *listen.Inherited
	served    map[int]uint64 // the revision that serves a slot
	changed   bool           // since apply
	glance    glance
	drops     drops
	now       func() time.Time
}

// edition is the sockets of one revision: a group for each of its addresses, in
// the order of the configuration.
type edition struct{ groups []*group }

func newSockets(inherited *listen.Inherited) *sockets {
	return &sockets{
		editions: map[uint64]*edition{}, served: map[int]uint64{},
		inherited: inherited, now: time.Now, drops: drops{seen: map[int]uint32{}},
	}
}

// grow makes sure that slots 0 to slots-1 have sockets for the addresses of the
// revision. After an error everything is as it was before.
func (s *sockets) grow(revision uint64, cfg config.Config, slots int) error {
	e, known := s.editions[revision], s.editions[revision] != nil
	var err error
	if !known {
		e, err = s.newEdition(revision, cfg)
		s.editions[revision] = e
	}
	before := map[*group]int{}
	for _, g := range e.groups {
		before[g] = g.Slots()
	}
	for _, g := range e.groups {
		if err == nil {
			err = g.endpoint.grow(g, slots)
		}
	}
	s.changed = true
	if err == nil {
		return nil
	}
	for _, g := range e.groups {
		err = errors.Join(err, g.endpoint.shrink(g, before[g]))
	}
	if !known {
		err = errors.Join(err, s.forget(revision))
	}
	return errors.Join(err, s.apply())
}

// newEdition finds or opens a group for each address. After an error it has those
// that came before.
func (s *sockets) newEdition(revision uint64, cfg config.Config) (*edition, error) {
	e := &edition{}
	for _, addr := range cfg.Listen {
		g, err := s.groupFor(addr, programKey(revision, cfg), cfg.Queue == "shared", e)
		if err != nil {
			return e, err
		}
		e.groups = append(e.groups, g)
	}
	return e, nil
}

// groupFor gives the group that serves addr for the same program already, or a
// fresh one on the same endpoint, or a new endpoint.
func (s *sockets) groupFor(addr config.Address, program string, shared bool, e *edition) (*group, error) {
	if p := s.endpointAt(addr, e); p != nil {
		for _, g := range slices.Backward(p.groups) {
			if g.suits(addr, shared, program) && (s.serves(g) || !p.served) && !g.Lost() {
				return g, nil
			}
		}
		fresh, err := p.groups[0].Fresh(addr, shared)
		if err != nil {
			return nil, err
		}
		return p.join(fresh, program), nil
	}
	var own []*listen.Group
	for _, p := range s.endpoints {
		for _, g := range p.groups {
			own = append(own, g.Group)
		}
	}
	g, err := listen.Open(addr, listen.Options{Shared: shared, Own: own, Inherited: s.inherited})
	if err != nil {
		return nil, err
	}
	p := newEndpoint(addr, &s.drops)
	s.endpoints = append(s.endpoints, p)
	return p.join(g, program), nil
}

// endpointAt finds where addr leads. An address with port 0 that is written twice
// is two endpoints, in their order: e has the ones that are taken.
func (s *sockets) endpointAt(addr config.Address, e *edition) *endpoint {
	for _, p := range s.endpoints {
		if !p.refused && p.isAt(addr) && !slices.ContainsFunc(e.groups, func(g *group) bool { return g.endpoint == p }) {
			return p
		}
	}
	return nil
}

// of returns what a worker of the revision inherits in a slot, named by the
// address's position in the configuration.
func (s *sockets) of(revision uint64, slot int) (list []process.Listener) {
	e := s.editions[revision]
	if e == nil {
		return nil
	}
	for i, g := range e.groups {
		if slot >= g.Slots() {
			continue
		}
		for _, fd := range g.Sockets(slot) {
			list = append(list, process.Listener{FD: fd, Name: strconv.Itoa(i)})
		}
	}
	return list
}

// serve says that the slot's connections are the revision's from the next apply
// on.
func (s *sockets) serve(revision uint64, slot int) {
	if s.served[slot] != revision {
		s.served[slot], s.changed = revision, true
	}
}

// retire says that slots from number on go away: they get no new connections from
// the next apply on.
func (s *sockets) retire(number int) {
	for slot := range s.served {
		if slot >= number {
			delete(s.served, slot)
			s.changed = true
		}
	}
}

// isServed tells whether somebody was told to serve the slot, and it stays.
func (s *sockets) isServed(slot int) bool {
	_, served := s.served[slot]
	return served
}

// undefer lets silent clients of the slot's sockets that get no new connections
// come to the queue, where they can be taken.
func (s *sockets) undefer(slot int) error {
	var errs []error
	for _, p := range s.endpoints {
		for _, g := range p.groups {
			if slot >= g.Slots() || !s.isLeft(g, slot) {
				continue
			}
			for _, fd := range g.Sockets(slot) {
				errs = append(errs, listen.Undefer(fd))
			}
		}
	}
	return errors.Join(errs...)
}

// apply makes the kernel agree with what was said since. It is not done for each
// slot: a program that names a thousand sockets a thousand times would take long.
// What cannot be done now is tried again at the next call.
func (s *sockets) apply() error {
	if !s.changed {
		return nil
	}
	live := map[*endpoint]map[*group][]int{}
	for slot, revision := range s.served {
		for _, g := range s.groupsOf(revision) {
			if live[g.endpoint] == nil {
				live[g.endpoint] = map[*group][]int{}
			}
			live[g.endpoint][g] = append(live[g.endpoint][g], slot)
		}
	}
	var errs []error
	for _, p := range s.endpoints {
		errs = append(errs, p.settle(live[p], len(s.served) > 0, s.now()))
	}
	err := errors.Join(errs...)
	s.changed = err != nil
	return err
}

func (s *sockets) groupsOf(revision uint64) []*group {
	if e := s.editions[revision]; e != nil {
		return e.groups
	}
	return nil
}

// serves tells whether some slot is served by the group.
func (s *sockets) serves(g *group) bool {
	for _, revision := range s.served {
		if slices.Contains(s.groupsOf(revision), g) {
			return true
		}
	}
	return false
}

// abandon has the endpoints that only the revision wanted refuse new clients: a
// change to it was rolled back.
func (s *sockets) abandon(revision uint64) error {
	var errs []error
	for _, g := range s.groupsOf(revision) {
		if !s.needed(g.endpoint, revision) {
			errs = append(errs, g.endpoint.refuse(s.now()))
		}
	}
	return errors.Join(errs...)
}

// needed tells whether some slot is served at the endpoint, or another revision
// has a group there.
func (s *sockets) needed(p *endpoint, but uint64) bool {
	for revision := range s.editions {
		if slices.ContainsFunc(s.groupsOf(revision), func(g *group) bool { return g.endpoint == p && (revision != but || s.serves(g)) }) {
			return true
		}
	}
	return false
}

// refuseAll has every endpoint refuse new clients.
func (s *sockets) refuseAll() error {
	var errs []error
	for _, p := range s.endpoints {
		errs = append(errs, p.refuse(s.now()))
	}
	return errors.Join(errs...)
}

// forget closes what only the revision had.
func (s *sockets) forget(revision uint64) error {
	groups := s.groupsOf(revision)
	delete(s.editions, revision)
	maps.DeleteFunc(s.served, func(_ int, served uint64) bool { return served == revision })
	var errs []error
	for _, g := range groups {
		used := slices.ContainsFunc(slices.Collect(maps.Values(s.editions)), func(e *edition) bool { return slices.Contains(e.groups, g) })
		if !used {
			errs = append(errs, g.endpoint.drop(g))
		}
	}
	s.endpoints = slices.DeleteFunc(s.endpoints, func(p *endpoint) bool { return len(p.groups) == 0 })
	s.changed = true
	return errors.Join(errs...)
}

// shrink closes the sockets of the slot, the highest one, in every edition.
func (s *sockets) shrink(slot int) error {
	delete(s.served, slot)
	var errs []error
	for _, p := range s.endpoints {
		for _, g := range p.groups {
			errs = append(errs, p.shrink(g, slot))
		}
	}
	s.changed = true
	return errors.Join(append(errs, s.apply())...)
}

// relistened says that a worker had shut the socket down, and it listens again.
func (s *sockets) relistened(fd int) {
	for _, p := range s.endpoints {
		p.order.Moved(fd)
	}
	s.changed = true
}

// close closes everything.
func (s *sockets) close() error {
	var errs []error
	for _, revision := range slices.Collect(maps.Keys(s.editions)) {
		errs = append(errs, s.forget(revision))
	}
	return errors.Join(append(errs, s.inherited.Close())...)
}
