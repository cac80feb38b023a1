package load

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// connectionsMax bounds the connections of mode NewConnection. A request that
	// becomes due beyond it waits, as in mode KeepAlive.
	connectionsMax = 20_000
	// sleepMax is the longest wait for events: how late a cancelled context, or
	// the end, is seen.
	sleepMax = 50 * time.Millisecond
	// eventsMax bounds the events of one turn: requests become due meanwhile.
	eventsMax = 128
	// readSize is the room for one read; more is read in several.
	readSize = 16 << 10
	// failuresKeptMax bounds Report.Failures.
	failuresKeptMax = 100
)

// loop is the event loop. All of it belongs to the goroutine in run, except the
// counter of answers, which others may read.
type loop struct {
	config   Config
	target   netip.AddrPort
	request  []byte
	epoll    int
	parser   *parser
	answered *atomic.Int64
	// Room that every turn uses again.
	events [eventsMax]unix.EpollEvent
	buffer [readSize]byte

	start    time.Time
	outcomes []outcome // one for each request that was due
	failures []Failure
	// Numbers of requests, expired <= next <= len(outcomes): those from next on
	// wait for a connection, and those below expired are past their timeout.
	next, expired int

	connections []*connection
	most        int           // how many there may be
	idle        []*connection // the free ones; first come, first used, so that all are
	opened      int
}

func newLoop(cfg Config, answered *atomic.Int64) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	l := &loop{
		config:   cfg,
		request:  requestOf(cfg),
		epoll:    epoll,
		parser:   newParser(),
		answered: answered,
		most:     connectionsMax,
	}
	l.target, _ = parseLoopback(cfg.Addr) // Start has validated it
	if !cfg.Closed {
		l.outcomes = make([]outcome, 0, cfg.requests())
	}
	if cfg.Mode == KeepAlive || cfg.Closed {
		l.most = cfg.Clients
		for range cfg.Clients {
			l.idle = append(l.idle, l.addConnection())
		}
	}
	return l, nil
}

func requestOf(cfg Config) []byte {
	head := "GET " + cfg.Path + " HTTP/1.1\r\nHost: " + cfg.Addr + "\r\n"
	if cfg.Mode == NewConnection {
		head += "Connection: close\r\n"
	}
	return []byte(head + "\r\n")
}

// run sends the schedule and returns the report. It closes every descriptor.
func (l *loop) run(ctx context.Context) Report {
	// The thread ends with the goroutine, since nothing unlocks it, and with it
	// the timer slack: 1 ns instead of 50 µs (PR_SET_TIMERSLACK, prctl(2)). If
	// that is refused, waits are a little less exact, and the lag shows it.
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)

	l.start = time.Now()
	for {
		more := ctx.Err() == nil && l.schedule()
		l.send()
		if !more && l.next == len(l.outcomes) && len(l.idle) == len(l.connections) {
			break
		}
		l.dispatch(l.wait(more))
		l.expire()
	}
	elapsed := time.Since(l.start)
	l.close()
	return l.report(elapsed)
}

// schedule makes requests due whose moment has come, and says whether there will
// be more.
func (l *loop) schedule() (more bool) {
	now := time.Since(l.start)
	if l.config.Closed {
		return l.scheduleForIdle(now)
	}
	total := cap(l.outcomes)
	for len(l.outcomes) < total && l.config.due(len(l.outcomes)) <= now {
		l.outcomes = append(l.outcomes, outcome{due: l.config.due(len(l.outcomes))})
	}
	return len(l.outcomes) < total
}

// scheduleForIdle is schedule for a closed loop: a request for each client that has
// none.
func (l *loop) scheduleForIdle(now time.Duration) (more bool) {
	if now >= l.config.Duration || len(l.outcomes)+len(l.idle) > RequestsMax {
		return false
	}
	for range l.idle {
		l.outcomes = append(l.outcomes, outcome{due: now})
	}
	return true
}

// send gives waiting requests to idle connections.
func (l *loop) send() {
	for l.next < len(l.outcomes) {
		c := l.takeIdle()
		if c == nil {
			return
		}
		l.ask(c, l.next)
		l.next++
	}
}

func (l *loop) takeIdle() *connection {
	if len(l.idle) > 0 {
		c := l.idle[0]
		l.idle = l.idle[1:]
		return c
	}
	if len(l.connections) < l.most {
		return l.addConnection()
	}
	return nil
}

func (l *loop) addConnection() *connection {
	c := &connection{index: int32(len(l.connections)), fd: -1}
	l.connections = append(l.connections, c)
	return c
}

// ask starts a request on a connection, which it opens when it must.
func (l *loop) ask(c *connection, number int) {
	c.state, c.request, c.output, c.input = asking, number, l.request, c.input[:0]
	l.outcomes[number].connection = c.index
	l.outcomes[number].lag = l.sinceDue(number)
	if c.fd < 0 {
		if err := c.open(l.epoll, addressesOf(l.target, c.index)); err != nil {
			l.fail(c, err)
			return
		}
		l.opened++
	}
	// At once, without waiting for an event: on loopback the handshake is done
	// when connect returns.
	if err := c.write(); err != nil {
		l.fail(c, err)
		return
	}
	if c.stirred {
		l.receive(c)
	}
}

// wait returns the events that come before the next request is due or times out;
// more says that there will be a next one.
func (l *loop) wait(more bool) []unix.EpollEvent {
	until := sleepMax
	now := time.Since(l.start)
	if more && !l.config.Closed {
		until = min(until, l.config.due(len(l.outcomes))-now)
	}
	if l.expired < len(l.outcomes) {
		until = min(until, l.outcomes[l.expired].due+l.config.Timeout-now)
	}
	return l.events[:epollWait(l.epoll, l.events[:], max(0, until))]
}

// epollWait is epoll_pwait2 (Linux 5.11): epoll_wait counts in milliseconds,
// which is most of a latency on loopback. EINTR is no event.
func epollWait(epoll int, events []unix.EpollEvent, timeout time.Duration) int {
	interval := unix.NsecToTimespec(int64(timeout))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&interval)), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func (l *loop) dispatch(events []unix.EpollEvent) {
	for _, event := range events {
		c := l.connections[event.Fd]
		if c.life != event.Pad || c.fd < 0 {
			continue // stale: about a socket that was closed earlier in this turn
		}
		if c.state == free {
			c.stirred = true
			continue
		}
		if err := c.write(); err != nil && c.state == asking {
			l.fail(c, err)
			continue
		}
		l.receive(c)
	}
}

// receive reads what has come and ends the request when its answer is complete.
func (l *loop) receive(c *connection) {
	ended, err := c.read(l.buffer[:])
	if c.state == parting {
		if ended || err != nil {
			l.release(c)
		}
		return
	}
	got, parseErr := l.parser.parse(c.input, ended)
	switch {
	case got != nil:
		// Complete, so that a reset after it takes nothing from the client.
		l.complete(c, *got, ended || err != nil)
	case err != nil || parseErr != nil:
		l.fail(c, errors.Join(err, parseErr))
	}
}

// complete records an answer; ended says that the server has closed already.
func (l *loop) complete(c *connection, got answer, ended bool) {
	entry := &l.outcomes[c.request]
	entry.class, entry.latency, entry.worker = answered, l.sinceDue(c.request), got.worker
	l.answered.Add(1)
	switch {
	case l.config.Mode == KeepAlive && !got.last:
		// A close that the answer did not announce stays: the next request on
		// this connection meets it and fails.
		c.state, c.stirred = free, ended
		l.idle = append(l.idle, c)
	case ended:
		l.release(c)
	default:
		c.state = parting
	}
}

// fail records an error and closes the connection: what it would carry next is
// unknown.
func (l *loop) fail(c *connection, err error) {
	l.record(c.request, err)
	l.release(c)
}

func (l *loop) record(number int, err error) {
	class := classify(err)
	l.outcomes[number].class = class
	if len(l.failures) < failuresKeptMax {
		l.failures = append(l.failures, Failure{
			Due: l.outcomes[number].due, At: time.Since(l.start), Class: class, Reason: err.Error(),
		})
	}
}

func (l *loop) release(c *connection) {
	c.close()
	c.state = free
	l.idle = append(l.idle, c)
}

// expire ends the requests whose time is over, oldest first.
func (l *loop) expire() {
	now := time.Since(l.start)
	for ; l.expired < len(l.outcomes) && l.outcomes[l.expired].due+l.config.Timeout <= now; l.expired++ {
		if l.expired >= l.next {
			l.record(l.expired, errNoConnection)
			l.next = l.expired + 1
			continue
		}
		c := l.connections[l.outcomes[l.expired].connection]
		switch {
		case c.state == free || c.request != l.expired: // ended long ago
		case c.state == parting: // answered, but the server does not close
			l.release(c)
		default:
			l.fail(c, errTimeout)
		}
	}
}

func (l *loop) sinceDue(number int) time.Duration {
	return time.Since(l.start) - l.outcomes[number].due
}

func (l *loop) close() {
	for _, c := range l.connections {
		c.close()
	}
	_ = unix.Close(l.epoll) // holds nothing any more
}
