package trials

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

const (
	netlinkHeader = 16 // struct nlmsghdr of <linux/netlink.h>
	diagRequest   = 56 // struct inet_diag_req_v2 of <linux/inet_diag.h>
	diagAnswer    = 72 // struct inet_diag_msg
	tcpListen     = 10 // TCP_LISTEN of <net/tcp_states.h>
	diagBufferMax = 64 << 10
)

// queueLook asks the kernel for the accept queue of each socket that listens on a
// port, as `ss -ltn` does, by netlink (sock_diag(7)). /proc/net/tcp says the same,
// but lists every connection of the machine first.
type queueLook struct {
	socket  int
	request []byte
	buffer  [diagBufferMax]byte
}

func newQueueLook(t testing.TB, port uint16) *queueLook {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		t.Fatalf("open netlink socket: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // was only asked
	order := binary.NativeEndian
	request := make([]byte, netlinkHeader+diagRequest)
	order.PutUint32(request[0:], uint32(len(request)))               // nlmsg_len
	order.PutUint16(request[4:], 20)                                 // nlmsg_type: SOCK_DIAG_BY_FAMILY
	order.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP) // nlmsg_flags
	body := request[netlinkHeader:]
	body[0], body[1] = unix.AF_INET, unix.IPPROTO_TCP
	order.PutUint32(body[4:], 1<<tcpListen)    // idiag_states
	binary.BigEndian.PutUint16(body[8:], port) // idiag_sport
	return &queueLook{socket: fd, request: request}
}

// waiting is the length of each socket's accept queue.
func (q *queueLook) waiting() (lengths []int, err error) {
	if err := unix.Sendto(q.socket, q.request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	for {
		n, _, err := unix.Recvfrom(q.socket, q.buffer[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		done, err := parseDiag(q.buffer[:n], &lengths)
		if done || err != nil {
			return lengths, err
		}
	}
}

// parseDiag reads the messages of one datagram. Of a socket that listens,
// idiag_rqueue is the accept queue.
func parseDiag(datagram []byte, lengths *[]int) (done bool, err error) {
	order := binary.NativeEndian
	for len(datagram) >= netlinkHeader {
		size, kind := int(order.Uint32(datagram)), order.Uint16(datagram[4:])
		if size < netlinkHeader || size > len(datagram) {
			return false, fmt.Errorf("netlink message of %d bytes in %d", size, len(datagram))
		}
		switch {
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR || size < netlinkHeader+diagAnswer:
			return false, fmt.Errorf("netlink message of type %d, %d bytes", kind, size)
		}
		*lengths = append(*lengths, int(order.Uint32(datagram[netlinkHeader+56:])))
		datagram = datagram[min((size+3)&^3, len(datagram)):]
	}
	return false, nil
}

// queueWatch looks at the queues again and again while one client sends one
// request after the other, so that whatever waits is that client's.
type queueWatch struct {
	current atomic.Pointer[attempt]
	worst   map[int]time.Duration // by request: from sent to the last look that saw it wait
	looks   int
	err     error
	over    chan struct{}
	ended   chan struct{}
}

// attempt is a request that is on its way.
type attempt struct {
	number int
	sent   time.Time
}

// watchQueues looks at a port's queues at this interval. The caller ends it by
// finish, which a test that fails before does not reach.
func watchQueues(t testing.TB, port uint16, interval time.Duration) *queueWatch {
	t.Helper()
	look := newQueueLook(t, port)
	w := &queueWatch{worst: map[int]time.Duration{}, over: make(chan struct{}), ended: make(chan struct{})}
	go w.run(look, interval)
	t.Cleanup(func() { w.finish() })
	return w
}

func (w *queueWatch) run(look *queueLook, interval time.Duration) {
	defer close(w.ended)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for w.err == nil {
		select {
		case <-w.over:
			return
		case <-ticker.C:
			w.look(look)
		}
	}
}

func (w *queueWatch) look(look *queueLook) {
	before := w.current.Load()
	lengths, err := look.waiting()
	now := time.Now()
	if err == nil && len(lengths) < workers {
		err = fmt.Errorf("%d listening sockets, want %d or more", len(lengths), workers)
	}
	w.err = err
	w.looks++
	if before == nil || before != w.current.Load() {
		return // another request came meanwhile: what was seen could be either
	}
	for _, length := range lengths {
		if length > 0 {
			w.worst[before.number] = now.Sub(before.sent)
		}
	}
}

// finish ends the looks; only then may anybody read what they saw.
func (w *queueWatch) finish() {
	select {
	case <-w.over:
	default:
		close(w.over)
	}
	<-w.ended
}

// TestQueueLookSeesWhatWaits keeps the looks honest: a trial that looks at nothing
// finds nothing.
func TestQueueLookSeesWhatWaits(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	look := newQueueLook(t, uint16(l.Addr().(*net.TCPAddr).Port))
	for n := range 3 {
		testproc.Await(t, "the queue to be seen", func() bool {
			lengths, err := look.waiting()
			if err != nil {
				t.Fatal(err)
			}
			return len(lengths) == 1 && lengths[0] == n
		})
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
}
