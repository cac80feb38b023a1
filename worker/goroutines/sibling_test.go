package goroutines

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

const neighbour = 7 // what a test calls a sibling

// help has a running engine watch sockets of a sibling; left is closed when it has
// done with them.
func (r *rig) help(t testing.TB, fds ...int) (left chan struct{}) {
	t.Helper()
	left = make(chan struct{})
	done := make(chan error)
	must(t, r.Post(func() {
		done <- r.Help(neighbour, fds, func() {
			for _, fd := range fds {
				unix.Close(fd)
			}
			close(left)
		})
	}))
	must(t, <-done)
	return left
}

func copyOf(t testing.TB, fd int) int {
	t.Helper()
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return copied
}

func dialTo(t testing.TB, address string) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	must(t, err)
	return newClient(t, c)
}

// A sibling's queue is served and counted like our own, and counted as help.
func TestHelpServesASibling(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{})
	theirs, address := listenTCP(t)
	waiting := dialTo(t, address)
	waiting.write(get)
	first := r.help(t, copyOf(t, theirs))
	waiting.expect(200, mirrored)
	second := r.help(t, copyOf(t, theirs)) // at the end of the line again
	<-first
	for _, c := range []*client{dialTo(t, address), r.dial(t)} {
		c.write(get)
		c.expect(200, mirrored)
	}
	if accepted, helped := r.accepted.Load(), r.helped.Load(); accepted != 3 || helped != 2 {
		t.Errorf("%d accepted, of them %d for a sibling, want 3 and 2", accepted, helped)
	}
	<-r.help(t) // lets go
	<-second
	dialTo(t, address)
	c := r.dial(t)
	c.write(get)
	c.expect(200, mirrored)
	if helped := r.helped.Load(); helped != 2 {
		t.Errorf("%d accepted for a sibling that was let go, want none", helped-2)
	}
}

// A drain empties the queues of siblings as well, before it says left.
func TestDrainEmptiesSiblingsToo(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	theirs, address := listenTCP(t)
	var conns []*client
	for range 20 {
		conns = append(conns, r.dial(t), dialTo(t, address))
	}
	for _, c := range conns {
		c.write(get) // or it might not have come to the queue yet
	}
	helped := make(chan struct{})
	must(t, r.Help(neighbour, []int{theirs}, func() { close(helped) }))
	r.Drain(0, func() {
		select {
		case <-helped:
		default:
			t.Error("left was said before the sibling's sockets had left")
		}
		close(r.leftC)
	})
	r.run(t)
	r.left(t)
	for _, c := range conns {
		c.expectLast(200, mirrored)
	}
	r.wait(t)
	if accepted, helped := r.accepted.Load(), r.helped.Load(); accepted != 40 || helped != 20 {
		t.Errorf("%d accepted, of them %d for a sibling, want 40 and 20", accepted, helped)
	}
}
