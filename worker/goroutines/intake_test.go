package goroutines

import (
	"net"
	"runtime"
	"strings"
	"testing"
)

// Accepting waits while connections wait for somebody to read from them, and goes on
// with each that is read from or closed. Not parallel: it looks at all goroutines.
func TestAcceptingWaitsForReaders(t *testing.T) {
	const more = 3
	r := newRig(t, Config{})
	t.Cleanup(func() { must(t, r.Close()) })
	for range unreadMax + 1 + more {
		dialTo(t, r.address).write(get)
	}
	var taken []net.Conn
	for range unreadMax + 1 {
		c, err := r.intake.Accept()
		must(t, err)
		taken = append(taken, c)
	}
	for i := range more {
		next := make(chan net.Conn, 1)
		go func() {
			c, err := r.intake.Accept()
			if err != nil {
				t.Error(err)
			}
			next <- c
		}()
		until(t, "the next accept waits for a reader, or is through", func() bool { return len(next) > 0 || waitsForReaders() })
		if n := int(r.accepted.Load()); n != unreadMax+1+i {
			t.Fatalf("%d are accepted and %d of them read from, want %d", n, i, unreadMax+1+i)
		}
		if i == 0 {
			must(t, taken[0].Close())
		} else if _, err := taken[i].Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		taken = append(taken, <-next)
	}
}

func waitsForReaders() bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for one := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(one, "awaitReaders") && strings.Contains(one, "sync.(*Cond).Wait") {
			return true
		}
	}
	return false
}
