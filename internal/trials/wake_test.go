package trials

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"prefork/internal/testproc"
)

const (
	// A stop is short, so that there are many, or so long that a connection which
	// is forgotten until its end is one too many.
	stopShort  = 150 * time.Millisecond
	stopLong   = 400 * time.Millisecond
	answeredIn = 70 * time.Millisecond  // 99.9 % of the answers
	queuedMax  = 250 * time.Millisecond // nobody may wait in a queue for longer
	queueLooks = 25 * time.Millisecond
	aimWithin  = 60 * time.Microsecond // from sent to the signal: about where a worker wakes up
	downMax    = 2                     // of four: helpers are two, so everybody has one that is well
)

// TestLostWakeUp aims STOP and KILL at the moment between a worker's wake-up and its
// accept. The kernel has woken one, and tells nobody else; and there is only one
// client, so that no later connection wakes somebody who would find the first.
//
// It judges times, so it does not run beside others.
func TestLostWakeUp(t *testing.T) {
	for name, args := range engines {
		t.Run(name, func(t *testing.T) {
			if name != "reactor" && !*full {
				t.Skip("only with -full")
			}
			connections, acts := size(4000, 40_000), leastActs()
			s := serve(t, args...)
			s.prove(t)
			address := netip.MustParseAddrPort(s.addr)
			a := &aimer{s: s, chance: chances(t, *seed), down: map[int]bool{}}
			a.renew(t)
			w := watchQueues(t, address.Port(), queueLooks)
			c := &client{address: s.addr}
			// Some tries hit, so both numbers count; the bound is for a service that
			// does not come back.
			for n := 0; n < connections || a.stops+a.kills < acts && n < 10*connections; n++ {
				w.current.Store(&attempt{number: n, sent: time.Now()})
				c.ask(func() { a.perhaps(n) })
			}
			w.current.Store(nil)
			w.finish()
			a.finish()
			judgeWakeUps(t, s, a, c, w)
			s.awaitCalm(t, workers)
			s.checkLog(t)
		})
	}
}

// leastActs is how many stops and kills a trial consists of.
func leastActs() int { return size(30, 120) }

func judgeWakeUps(t *testing.T, s *service, a *aimer, c *client, w *queueWatch) {
	t.Helper()
	if w.err != nil {
		t.Errorf("looks at the queues: %v", w.err)
	}
	late, held, failed, queued := 0, 0, 0, 0
	var longest time.Duration
	for n, r := range c.results {
		longest = max(longest, w.worst[n])
		if r.err == nil && r.took() <= answeredIn {
			continue // nearly all
		}
		waited := w.worst[n] - s.pauses.allowed(r.when)
		if waited > queuedMax {
			queued++
			t.Errorf("request %d waited in an accept queue for %s or more: answered by %d after %s, %v", n, waited, r.pid, r.took(), r.err)
		}
		switch {
		case r.err != nil:
			failed++
		case r.took()-s.pauses.allowed(r.when) <= answeredIn:
		// What a stopped worker had accepted waits for it, and for nobody's
		// mistake. It has left the queue, which the looks tell.
		case s.wasStopped(r.pid, r.when) && waited <= answeredIn:
			held++
		default:
			late++
		}
	}
	t.Logf("%d requests, %d stops, %d kills; %d failed, %d held by a stopped worker, %d later than %s; %d looks, the longest seen in a queue %s; max %s, longest pause %s",
		len(c.results), a.stops, a.kills, failed, held, late, answeredIn, w.looks, longest, c.slowest(), s.pauses.longest())
	a.judge(t, c, failed, held, late)
}

// judge compares what became of the requests with what was done.
func (a *aimer) judge(t *testing.T, c *client, failed, held, late int) {
	t.Helper()
	if failed > a.kills {
		t.Errorf("%d requests failed by %d kills, want at most one each; the first: %v", failed, a.kills, c.firstError())
	}
	if held > a.stops {
		t.Errorf("%d answers were held by %d stops, want at most one each", held, a.stops)
	}
	if allowed := len(c.results) / 1000; late > allowed {
		t.Errorf("%d answers came later than %s, want at most %d", late, answeredIn, allowed)
	}
	if least := leastActs(); a.stops+a.kills < least {
		t.Errorf("%d stops and %d kills: the trial tried too little, want %d or more", a.stops, a.kills, least)
	}
}

// aimer stops and kills workers while a request is on its way.
type aimer struct {
	s            *service
	chance       *rand.Rand
	next         int // number of the request at which it aims again
	stops, kills int
	ending       sync.WaitGroup

	mu      sync.Mutex
	workers []testproc.WorkerStatus
	down    map[int]bool // PIDs that do not serve now
}

// renew takes note of who serves.
func (a *aimer) renew(t testing.TB) {
	st := a.s.look(t)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.workers = st.Ready()
}

// perhaps aims at a worker, at every 20th to 60th request.
func (a *aimer) perhaps(number int) {
	if number < a.next {
		return
	}
	a.next = number + 20 + a.chance.IntN(41)
	victim, ok := a.choose()
	if !ok {
		return
	}
	// Nothing but turning is exact enough.
	for began, delay := time.Now(), time.Duration(a.chance.Int64N(int64(aimWithin))); time.Since(began) < delay; {
	}
	if a.chance.IntN(8) == 0 && proved(victim) {
		a.kills++
		a.s.kill(victim.PID)
		a.ending.Go(func() { a.awaitSuccessor(victim) })
		return
	}
	a.stops++
	long := stopShort
	if a.chance.IntN(2) == 0 {
		long = stopLong
	}
	_ = a.s.stop(victim.PID) // gone: as good
	a.ending.Go(func() {
		pace(long)
		_ = a.s.resume(victim.PID)
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.down, victim.PID)
	})
}

func (a *aimer) choose() (victim testproc.WorkerStatus, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.down) >= downMax {
		return victim, false
	}
	victim = a.workers[a.chance.IntN(len(a.workers))]
	if a.down[victim.PID] {
		return victim, false
	}
	a.down[victim.PID] = true
	return victim, true
}

// awaitSuccessor waits until somebody else serves the slot; the ages of all are
// known anew then.
func (a *aimer) awaitSuccessor(victim testproc.WorkerStatus) {
	deadline := time.Now().Add(testproc.Patience)
	for time.Now().Before(deadline) {
		st, err := a.s.status()
		served := slices.ContainsFunc(st.Ready(), func(w testproc.WorkerStatus) bool {
			return w.Slot == victim.Slot && w.PID != victim.PID
		})
		if err == nil && served && len(st.Ready()) == workers {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.workers = st.Ready()
			delete(a.down, victim.PID)
			return
		}
		pace(statusInterval)
	}
	// The victim stays down, and the end of the trial says that somebody is missing.
}

// finish waits until all go on.
func (a *aimer) finish() { a.ending.Wait() }

// client sends one request after the other, each on a connection of its own.
type client struct {
	address string
	results []result
}

// result is what became of one request, from sent to the end of the answer.
type result struct {
	when span
	pid  int
	err  error
}

func (r result) took() time.Duration { return r.when.to.Sub(r.when.from) }

// ask sends a request, calls sent, and reads until the server closes.
func (c *client) ask(sent func()) {
	r := result{when: span{from: time.Now()}}
	r.pid, r.err = c.exchange(&r.when.from, sent)
	r.when.to = time.Now()
	c.results = append(c.results, r)
}

func (c *client) exchange(began *time.Time, sent func()) (pid int, err error) {
	conn, err := net.Dial("tcp4", c.address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testproc.Patience)); err != nil {
		return 0, err
	}
	*began = time.Now()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", c.address); err != nil {
		return 0, err
	}
	sent()
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		return 0, err
	}
	text := string(answer)
	if !strings.HasPrefix(text, "HTTP/1.1 200 ") || !strings.HasSuffix(text, "\n") {
		return 0, fmt.Errorf("answer %q", text)
	}
	_, err = fmt.Sscanf(text[strings.LastIndex(text, "pid ")+len("pid "):], "%d", &pid)
	return pid, err
}

func (c *client) slowest() (slowest time.Duration) {
	for _, r := range c.results {
		slowest = max(slowest, r.took())
	}
	return slowest
}

func (c *client) firstError() error {
	for _, r := range c.results {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}
