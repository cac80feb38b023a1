package steer

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Order is the sockets of one reuseport group in the kernel's order. Its zero
// value is a group without sockets.
type Order struct {
	// Refuse makes a socket drop whatever tries to connect by it; the client
	// tries again. It is for sockets that have left, when one has to close at a
	// moment at which the kernel may still choose it. Without it closing is put
	// off until something else stands behind the only live socket.
	Refuse func(fd int) error

	seats []seat
	// program is what the attached program names, in ascending order; nil: no
	// program, the kernel's hash chooses among all.
	program []int
	// braced keeps a program although every socket is live: see Brace.
	braced bool
	over   bool // see End
	kernel kernel
}

// seat is a socket at its index.
type seat struct {
	fd   int
	live bool
	dead bool // handed over by Leave: to be closed as soon as that harms nobody
}

// kernel does what an Order decides; nil stands for the real one.
type kernel interface {
	attach(fd int, live []int) error
	detach(fd int) error
	close(fd int) error
}

type linux struct{}

func (linux) attach(fd int, live []int) error { return Attach(fd, live) }
func (linux) detach(fd int) error             { return Detach(fd) }

// close takes the socket out of the group, whoever else still holds it: close(2)
// alone would leave it there as long as a process that a worker has left behind
// has a copy, and every index after it would be another socket than is thought.
func (linux) close(fd int) error {
	_ = unix.Shutdown(fd, unix.SHUT_RDWR) // ENOTCONN: a worker was faster
	return os.NewSyscallError("close", unix.Close(fd))
}

func (o *Order) do() kernel {
	if o.kernel == nil {
		return linux{}
	}
	return o.kernel
}

// Brace comes BEFORE sockets listen that are not to get connections yet. From
// then until the next Settle a program names the live ones; without it the
// kernel's hash would find a newcomer as soon as it listens.
func (o *Order) Brace() error {
	o.braced = true
	return o.name(o.live())
}

// Join adds a socket, AFTER its listen(2). It is not live.
func (o *Order) Join(fd int) { o.seats = append(o.seats, seat{fd: fd}) }

// SetLive says which sockets get connections from the next Settle on.
func (o *Order) SetLive(live func(fd int) bool) {
	for i := range o.seats {
		s := &o.seats[i]
		s.live = !s.dead && live(s.fd)
	}
}

// Leave hands a socket over: the Order closes it, at the next Settle or as soon
// after as that harms nobody. What waits in its queue then is reset.
func (o *Order) Leave(fd int) {
	for i := range o.seats {
		if o.seats[i].fd == fd {
			o.seats[i].live, o.seats[i].dead = false, true
		}
	}
}

// Moved says that the socket has left the group and joined it again at the end:
// somebody has shut it down, and it listens again.
func (o *Order) Moved(fd int) {
	for i, s := range o.seats {
		if s.fd == fd {
			o.seats = append(closeAt(o.seats, i), s)
			o.program = []int{} // it names the wrong ones now: attach again
			return
		}
	}
}

// Live tells whether the socket gets new connections once all is settled.
func (o *Order) Live(fd int) bool {
	return slices.ContainsFunc(o.seats, func(s seat) bool { return s.fd == fd && s.live })
}

// FDs lists all sockets, also those that wait to be closed.
func (o *Order) FDs() []int {
	fds := make([]int, len(o.seats))
	for i, s := range o.seats {
		fds[i] = s.fd
	}
	return fds
}

// Settle makes the kernel agree: only live sockets get new connections, and those
// that have left are closed. After an error the kernel does what it did before,
// and the next Settle tries again.
func (o *Order) Settle() error {
	o.braced = false
	if err := o.name(o.live()); err != nil {
		return err
	}
	return o.sweep()
}

// End says that nobody connects to the group any more, because it refuses or
// will not be there. No program is needed from now on, and closing can harm
// nobody.
func (o *Order) End() { o.over = true }

// live lists the indices of the live sockets.
func (o *Order) live() (list []int) {
	for i, s := range o.seats {
		if s.live {
			list = append(list, i)
		}
	}
	return list
}

// name makes the kernel choose among these indices only; none or all of them need
// no program.
func (o *Order) name(live []int) error {
	switch {
	case o.over || len(o.seats) == 0:
		o.program = nil
		return nil
	case len(live) == 0 || len(live) == len(o.seats) && !o.braced:
		if o.program == nil {
			return nil
		}
		if err := o.do().detach(o.seats[0].fd); err != nil {
			return err
		}
		o.program = nil
		return nil
	case slices.Equal(live, o.program):
		return nil
	}
	if err := o.do().attach(o.seats[0].fd, live); err != nil {
		return err
	}
	o.program = slices.Clone(live)
	return nil
}

// sweep closes the sockets that have left, as far as it can. The kernel fills
// the hole of a closed socket with the last one of the group, so for as long as
// live sockets move the program names only those that stay. Half of the live
// ones may move at a time: a few steps are enough for any number.
func (o *Order) sweep() error {
	for {
		fds, stay := o.nextBatch()
		if len(fds) == 0 {
			if moved, err := o.moveOnly(); !moved || err != nil {
				return err
			}
			continue
		}
		if len(stay) > 0 {
			if err := o.name(stay); err != nil {
				return err
			}
		}
		if err := o.closeAll(fds); err != nil {
			return err
		}
		if err := o.name(o.live()); err != nil {
			return err
		}
	}
}

// moveOnly closes the first socket that has left when the last one, which fills its
// place, is the only live one. No program can name it before and after. So one
// names the place: for a moment connections come to the socket that closes, and
// are dropped there.
func (o *Order) moveOnly() (moved bool, err error) {
	first := slices.IndexFunc(o.seats, func(s seat) bool { return s.dead })
	if first < 0 || o.Refuse == nil {
		return false, nil
	}
	fd := o.seats[first].fd
	if err := o.Refuse(fd); err != nil {
		return false, err
	}
	if err := o.name([]int{first}); err != nil {
		return false, err
	}
	return true, o.closeAll([]int{fd})
}

// nextBatch tells which sockets can be closed now, and the indices of the live
// ones that stay where they are meanwhile.
func (o *Order) nextBatch() (fds, stay []int) {
	for batch := max(1, len(o.live())/2); batch > 0; batch /= 2 {
		if fds, stay = o.plan(batch); o.safe(stay) {
			return fds, stay
		}
	}
	return nil, nil
}

// plan tries it with so many sockets at most.
func (o *Order) plan(batch int) (fds, stay []int) {
	seats := slices.Clone(o.seats)
	for range batch {
		i := lastDead(seats)
		if i < 0 {
			break
		}
		fds = append(fds, seats[i].fd)
		seats = closeAt(seats, i)
	}
	for i := range seats {
		if seats[i].live && seats[i] == o.seats[i] {
			stay = append(stay, i)
		}
	}
	return fds, stay
}

// safe tells whether connections have somewhere to go while a plan is carried
// out. With nobody live there is nothing to protect. With two sockets, of which
// one goes, an index that is out of range leads to the only one left.
func (o *Order) safe(stay []int) bool {
	return o.over || len(stay) > 0 || len(o.live()) == 0 || len(o.seats) == 2
}

func (o *Order) closeAll(fds []int) error {
	for _, fd := range fds {
		i := slices.IndexFunc(o.seats, func(s seat) bool { return s.fd == fd })
		// Linux frees the descriptor whatever close returns (close(2)).
		err := o.do().close(fd)
		o.seats = closeAt(o.seats, i)
		if err != nil {
			return err
		}
	}
	return nil
}

// lastDead prefers the highest index: one at the very end moves nobody.
func lastDead(seats []seat) int {
	for i := len(seats) - 1; i >= 0; i-- {
		if seats[i].dead {
			return i
		}
	}
	return -1
}

// closeAt does what the kernel does (__reuseport_detach_sock in
// net/core/sock_reuseport.c).
func closeAt(seats []seat, i int) []seat {
	last := len(seats) - 1
	seats[i] = seats[last]
	return seats[:last]
}

// Programmed tells whether a program of ours chooses among the sockets; else the
// kernel does, among all of them.
func (o *Order) Programmed() bool { return o.program != nil }
