package trials

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// portableEngines are those whose connections can go on in another worker.
var portableEngines = map[string]struct {
	rate int
	args []string
}{
	"reactor":    {3000, nil},
	"goroutines": {2000, []string{"--engine", "goroutines"}},
}

// keptMax is how many connections 64 clients may open: a client whose connection was
// closed opens another one.
const keptMax = 70

// TestReloadsUnderKeptConnections: a reload closes no connection that its client keeps.
func TestReloadsUnderKeptConnections(t *testing.T) {
	t.Parallel()
	for name, kind := range portableEngines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, kind.args...)
			perSecond := rate(size(kind.rate/3, kind.rate))
			g := loadtest.Start(t, load.Config{Addr: s.addr, Mode: load.KeepAlive, Clients: 64, Rate: perSecond, Duration: time.Minute, Timeout: shrinkTimeout})
			loadtest.Await(t, g, perSecond/2)
			for range size(2, 5) {
				s.reload(t)
				loadtest.Await(t, g, g.Answered()+perSecond*size(1, 3)/2)
			}
			g.Stop()
			o := s.finish(t, g, time.Second)
			o.atMost(t, "requests failed", o.failed, 0)
			o.atMost(t, "connections were opened", o.Connections, keptMax)
		})
	}
}

// TestShrinkAndGrowUnderKeptConnections: who goes gives its connections to who stays.
func TestShrinkAndGrowUnderKeptConnections(t *testing.T) {
	t.Parallel()
	for name, kind := range portableEngines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, kind.args...)
			perSecond := rate(size(1000, 2000))
			g := loadtest.Start(t, load.Config{Addr: s.addr, Mode: load.KeepAlive, Clients: 64, Rate: perSecond, Duration: 2 * time.Minute, Timeout: shrinkTimeout})
			loadtest.Await(t, g, perSecond/2)
			for range size(1, 4) {
				s.scale(t, 1)
				loadtest.Await(t, g, g.Answered()+perSecond/4)
				s.scale(t, workers)
				loadtest.Await(t, g, g.Answered()+perSecond/4)
			}
			g.Stop()
			o := s.finish(t, g, time.Second)
			o.atMost(t, "requests failed", o.failed, 0)
			o.atMost(t, "connections were opened", o.Connections, keptMax)
		})
	}
}

// TestLeaverUnderKeptConnections: a worker that somebody else tells to leave gives its
// connections to its siblings first.
func TestLeaverUnderKeptConnections(t *testing.T) {
	t.Parallel()
	for name, kind := range portableEngines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, kind.args...)
			s.prove(t)
			perSecond := rate(1000)
			g := loadtest.Start(t, load.Config{Addr: s.addr, Mode: load.KeepAlive, Clients: 64, Rate: perSecond, Duration: time.Minute, Timeout: shrinkTimeout})
			loadtest.Await(t, g, perSecond/2)
			for range size(1, 4) {
				leaver := s.look(t).Ready()[0]
				if err := s.signal(leaver.PID, syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				s.awaitSuccessor(t, leaver.PID)
				s.prove(t)
			}
			g.Stop()
			o := s.finish(t, g, time.Second)
			o.atMost(t, "requests failed", o.failed, 0)
			o.atMost(t, "connections were opened", o.Connections, keptMax)
		})
	}
}

// crowd is many connections that their clients keep and do not use.
type crowd []net.Conn

const getHello = "GET / HTTP/1.1\r\nHost: crowd\r\n\r\n"

// gather opens so many, each of them with one request behind it. The clients bind to
// several addresses, whose ports are their own.
func gather(t testing.TB, addr string, size int) crowd {
	t.Helper()
	c := make(crowd, size)
	t.Cleanup(func() {
		for _, conn := range c {
			if conn != nil {
				_ = conn.Close()
			}
		}
	})
	c.each(func(i int) error {
		from := net.Dialer{Timeout: testproc.Patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%4))}}
		conn, err := from.Dial("tcp", addr)
		if err == nil {
			c[i] = conn
			err = c.ask(i)
		}
		return err
	}, func(i int, err error) { t.Errorf("client %d: %v", i, err) })
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// ask has one client ask once.
func (c crowd) ask(i int) error {
	conn := c[i]
	if err := conn.SetDeadline(time.Now().Add(testproc.Patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, getHello); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "hello from slot") {
		return fmt.Errorf("answer %s %q, %v", answer.Status, body, err)
	}
	return nil
}

// each does something for all clients, some at a time.
func (c crowd) each(do func(i int) error, failed func(i int, err error)) {
	const atATime = 32
	var group sync.WaitGroup
	for part := range atATime {
		group.Go(func() {
			for i := part; i < len(c); i += atATime {
				if err := do(i); err != nil {
					failed(i, err)
				}
			}
		})
	}
	group.Wait()
}

// dead counts the connections that do not answer any more.
func (c crowd) dead() (n int, first error) {
	var mu sync.Mutex
	c.each(c.ask, func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		n++
		if first == nil {
			first = fmt.Errorf("client %d: %w", i, err)
		}
	})
	return n, first
}

// affordable is so many connections or what descriptors this process may have.
func affordable(t testing.TB, wanted int) int {
	t.Helper()
	const others = 200
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return min(wanted, int(limit.Cur)-others)
}

// TestReloadUnderACrowd: thousands of idle connections are alive after a reload, and it
// is soon over. It judges a time, so it runs alone.
func TestReloadUnderACrowd(t *testing.T) {
	const soon = 2 * time.Second
	for name, kind := range portableEngines {
		t.Run(name, func(t *testing.T) {
			s := serve(t, append([]string{"--idle-timeout", "10m"}, kind.args...)...)
			size := affordable(t, size(3000, 12_000))
			c := gather(t, s.addr, size)
			s.prove(t)
			began := time.Now()
			s.reload(t)
			took := time.Since(began)
			t.Logf("%d idle connections: the reload took %s, and the machine stood still for %s of it", size, took.Round(time.Millisecond), s.pauses.allowed(span{began, began.Add(took)}))
			if took -= s.pauses.allowed(span{began, began.Add(took)}); took > soon {
				t.Errorf("it took %s until the old generation had gone, want %s at most", took, soon)
			}
			if n, err := c.dead(); n > 0 {
				t.Errorf("%d of %d connections are dead, the first: %v", n, size, err)
			}
			s.checkLog(t)
		})
	}
}

// TestHeirDies kills the successor in the middle of a hand-over. What it had taken dies
// with it; what it had not stays with who gives, and goes to the next one.
func TestHeirDies(t *testing.T) {
	for name, kind := range portableEngines {
		t.Run(name, func(t *testing.T) {
			s := serve(t, append([]string{"--idle-timeout", "10m", "--workers", "1"}, kind.args...)...)
			size := affordable(t, size(2000, 5000))
			const tries = 5
			for range tries {
				c := gather(t, s.addr, size)
				if left := s.killHeir(t, uint64(len(c))); left < len(c) {
					s.judgeHeir(t, c, left)
					return
				}
				for _, conn := range c {
					_ = conn.Close()
				}
			}
			t.Fatalf("no heir was killed in the middle in %d tries", tries)
		})
	}
}

// judgeHeir compares the connections that live with those that the next heir holds.
func (s *service) judgeHeir(t *testing.T, c crowd, left int) {
	t.Helper()
	n, err := c.dead()
	t.Logf("%d of %d connections died with the heir: %v", n, len(c), err)
	if n != len(c)-left {
		t.Errorf("%d connections are dead, and the next heir holds %d of %d", n, left, len(c))
	}
	s.checkLog(t)
}

// killHeir reloads and kills the successor as soon as it has taken something. It
// returns how many connections the next one holds in the end.
func (s *service) killHeir(t *testing.T, all uint64) (left int) {
	t.Helper()
	st := s.await(t, "a worker that is calm and older than early deaths", func(st testproc.Status) bool {
		return len(st.Workers) == 1 && len(st.Ready()) == 1 && proved(st.Ready()[0]) && st.Ready()[0].Connections == all
	})
	old := st.Ready()[0]
	s.Signal(t, unix.SIGHUP)
	deadline := time.Now().Add(testproc.Patience)
	for heir := old; heir.PID == old.PID || heir.Connections == 0; { // as fast as it goes: there is little time
		if r := s.look(t).Ready(); len(r) == 1 {
			heir = r[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody takes connections: %+v", heir)
		}
		if heir.PID != old.PID && heir.Connections > 0 {
			s.kill(heir.PID)
		}
	}
	st = s.await(t, "the next heir, alone", func(st testproc.Status) bool {
		return st.State == "serving" && len(st.Workers) == 1 && len(st.Ready()) == 1 && st.LastChange != nil && st.LastChange.Cause == "reload"
	})
	if got := st.LastChange; got.HandedOver != all || got.Cut != 0 {
		t.Errorf("%d connections were handed over and %d cut, want all %d handed over: %s", got.HandedOver, got.Cut, all, got.Text)
	}
	return int(st.Ready()[0].Connections)
}
