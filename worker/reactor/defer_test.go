package reactor

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Only sockets of our own are deferred, and only when the protocol allows it.
func TestDeferAccept(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		fd   func(r *rig) int
		on   bool
		want int
	}{
		{"client first", func(r *rig) int { return r.listen }, true, 1},
		{"who knows", func(r *rig) int { return r.listen }, false, 0},
		{"a sibling's", func(r *rig) int {
			theirs := listenTCP(r.t)
			r.help(neighbour, copyOf(r.t, theirs))
			return theirs
		}, true, 0},
	} {
		r := newRig(t, Config{ClientFirst: test.on})
		got, err := unix.GetsockoptInt(test.fd(r), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT)
		if err != nil || got != test.want {
			t.Errorf("%s: TCP_DEFER_ACCEPT is %d, %v, want %d", test.name, got, err, test.want)
		}
	}
}

// What is not TCP has no such thing, and is listened on all the same.
func TestDeferAcceptOnUnixSocket(t *testing.T) {
	t.Parallel()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: t.TempDir() + "/socket"}))
	must(t, unix.Listen(fd, 1))
	r := newRig(t, Config{ClientFirst: true})
	must(t, r.loop.Listen(fd))
}

// A client that speaks comes with what it has said, a silent one after a while.
func TestSilentClientComesLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{ClientFirst: true})
	start := time.Now()
	silent, speaking := r.dial(), r.dial()
	speaking.write("close\n")
	speaking.expect("bye\n")
	speaking.expectEnd()
	r.until("the silent one is accepted", func() bool { return r.accepted == 2 })
	if waited := time.Since(start); waited < time.Second/2 {
		t.Errorf("the silent one came after %v", waited)
	}
	silent.write("a\n")
	silent.expect("a\n")
}

// A silent client is bounded as any other, from when it was accepted.
func TestSilentClientTimesOut(t *testing.T) {
	t.Parallel()
	config := testTimeouts
	config.ClientFirst = true
	r := newRig(t, config)
	c := r.connect()
	r.quiet()
	r.pass(config.HeaderTimeout - time.Second)
	c.expectOpen()
	r.pass(time.Second + slack)
	c.expectEnd()
}
