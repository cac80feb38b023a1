package master

import (
	"strconv"

	"prefork/master/config"
	"prefork/master/listen"
	"prefork/master/process"
)

// sockets are the listening sockets of the service: for each address a group,
// in each group a socket for each slot.
type sockets struct {
	groups []*listen.Group
}

// openSockets opens every address with sockets for slots 0 to slots-1, or none.
func openSockets(addresses []config.Address, slots int) (*sockets, error) {
	s := &sockets{}
	for _, a := range addresses {
		g, err := listen.Open(a, listen.Options{})
		if err != nil {
			s.close()
			return nil, err
		}
		s.groups = append(s.groups, g)
	}
	if err := s.grow(slots); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// grow makes sure that slots 0 to slots-1 have their sockets. After an error
// it has added none.
func (s *sockets) grow(slots int) error {
	before := s.slots()
	for n := before; n < slots; n++ {
		for _, g := range s.groups {
			if err := g.Add(n); err != nil {
				s.shrink(before)
				return err
			}
		}
	}
	return nil
}

// shrink closes the sockets of the highest slots until so many are left.
func (s *sockets) shrink(slots int) {
	for _, g := range s.groups {
		for n := g.Slots() - 1; n >= slots; n-- {
			g.Remove(n)
		}
	}
}

// slots is how many slots every address has sockets for.
func (s *sockets) slots() int {
	least := s.groups[0].Slots()
	for _, g := range s.groups {
		least = min(least, g.Slots())
	}
	return least
}

// of returns what a worker in the slot inherits, named by the address's
// position in the configuration.
func (s *sockets) of(slot int) []process.Listener {
	list := make([]process.Listener, len(s.groups))
	for i, g := range s.groups {
		list[i] = process.Listener{FD: g.FD(slot), Name: strconv.Itoa(i)}
	}
	return list
}

// queue returns how many connections wait in the slot's sockets.
func (s *sockets) queue(slot int) (waiting int) {
	if slot >= s.slots() {
		return 0
	}
	for _, g := range s.groups {
		if n, _, err := listen.Queue(g.FD(slot)); err == nil {
			waiting += n
		}
	}
	return waiting
}

func (s *sockets) addresses() []string {
	list := make([]string, len(s.groups))
	for i, g := range s.groups {
		list[i] = g.Address()
	}
	return list
}

func (s *sockets) close() {
	for _, g := range s.groups {
		g.Close()
	}
}
