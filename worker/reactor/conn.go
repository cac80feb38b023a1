package reactor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// deadlineGrain is what the deadlines of connections are rounded up to, so
	// that thousands of idle ones wake the loop twice a second at most.
	deadlineGrain = 500 * time.Millisecond
	// lingerTime bounds how long a closed connection may throw away input:
	// enough for a round trip, so that the client reads our last answer and
	// closes first.
	lingerTime = 2 * time.Second
)

// conn is one connection. What it waits for follows from its state:
//
//	state                waits for     until
//	answers in its stash Writable      WriteTimeout without a byte taken
//	queued               its turn      (the loop comes back in the next turn)
//	lingering            Readable      lingerTime
//	given                nothing       its heir says that it has it, or has ended
//	away on an errand    nothing       its errand returns
//	else                 Readable      the deadline of its phase
//
// It owns its descriptor and its stash. Nothing may touch it after close: it goes
// back to the loop's free list. There may be 100,000 of them that do nothing, so
// what only a busy one needs is not here.
type conn struct {
	loop     *Loop
	handler  Handler
	stash    *stash // nil: it has nothing in hand
	token    Token
	deadline int64 // when to give up, CLOCK_MONOTONIC ns; the timer may fire sooner and wait on
	timer    Timer

	fd       int32
	phase    Phase
	interest Interest // what the poller was told; 0: it does not know us

	more      bool // the handler can go on with what is unread as it is
	full      bool // there may be something to read that the poller will not tell again
	closing   bool // the peer's end of the stream has come, and was not read yet
	ended     bool // the peer will send no more
	queued    bool // on the loop's again list
	lingering bool // our side is closed, input is thrown away
	offered   bool // on the loop's list of gifts
	given     bool // between two workers: not ours to read, see estate
}

// open makes a connection of a freshly accepted descriptor, which it owns from
// here on, also when it fails.
//
// The first message is often there already, so it is read and answered at once: a
// connection that ends with the answer never meets the poller, and a worker that
// is killed has at most one in its hands that it has not answered. Within a handler
// that has to wait, since input and output are lent to it.
func (l *Loop) open(fd int) error {
	if l.config.Taker != nil {
		l.config.Taker.Take(fd)
		return nil
	}
	c := l.newConn()
	c.fd, c.phase = int32(fd), Header
	c.token = l.registry.addConn(c)
	if c.handler == nil {
		c.handler = l.config.NewHandler()
	}
	c.extend(l.timeouts[Header])
	if l.drain.begun {
		c.offer()
	}
	l.tellConnections() // BEFORE the handler, which may block, or answer a client that then asks
	l.refused = nil
	if l.current != nil || !c.receive() {
		c.await(input)
	}
	return l.refused
}

// input is what a connection waits for that is to be read: each arrival is reported
// once, so whoever does not read to the end notes that there is more (full).
const input = Readable | Edge

// note takes down what the poller tells.
func (c *conn) note(ended bool) {
	c.full, c.closing = c.full || c.interest == input, c.closing || ended
}

// bare says that the connection has nothing in hand and waits for input.
func (c *conn) bare() bool {
	return c.stash == nil && c.interest == input && !c.queued && !c.lingering && !c.given
}

// dispatch does what the connection waited for. Whether it is really ready,
// or broken, the next system call tells.
func (c *conn) dispatch() {
	switch {
	case c.queued, c.given, c.away(): // its turn is coming
	case c.lingering:
		c.discard()
	case c.hasOutput():
		c.flush()
	default:
		c.receive()
	}
}

// settle decides what the connection waits for now that everything possible
// has been done. The order matters: no state below the first is looked at before
// the client has taken its answers, so a client that does not read is not read
// from either.
func (c *conn) settle() {
	if c.loop.drain.begun {
		c.offer()
	}
	switch {
	case c.hasOutput():
		c.await(Writable)
	case c.phase == Away:
		c.depart()
	case c.phase == Close:
		c.finish()
	case c.more:
		c.queue()
	case c.ended:
		c.close() // nobody will complete what is missing
	case c.full:
		c.queue() // to read it
	case c.phase == Idle && c.parts():
		c.queue() // for a last look, see part
	default:
		c.await(input)
	}
}

// resume is the connection's turn on the again list.
func (c *conn) resume() {
	c.queued = false
	switch {
	case c.given: // it was waiting for this turn then
	case c.lingering:
		c.discard()
	case c.more:
		c.execute(c.unread())
	case c.phase == Idle && c.parts():
		c.part()
	case !c.receive():
		c.settle()
	}
}

// parts says that a drain ends the connection when it is idle: nobody takes it.
func (c *conn) parts() bool {
	return c.loop.drain.begun && (c.loop.Draining() || !c.portable())
}

// part closes an idle connection, unless a request has come just now.
func (c *conn) part() {
	if !c.receive() {
		c.linger()
	}
}

// resting says that nothing is under way: no message, no answer, no turn, no hand-over.
func (c *conn) resting() bool {
	return c.phase == Idle && !c.hasOutput() && !c.queued && !c.lingering && !c.given
}

// finish closes after the last answer. Unread input would turn close into a
// reset, so if there may be some, the connection lingers. While draining it is
// we who end a conversation that the client may want to go on with.
func (c *conn) finish() {
	unread := len(c.unread()) > 0 || c.full || c.loop.drain.begun
	if unread && !c.ended {
		c.linger()
		return
	}
	c.close()
}

// linger closes our side and waits for the client to close its own, throwing
// away what it sends.
func (c *conn) linger() {
	if err := closeWrite(c.fd); err != nil {
		c.close() // the peer has gone
		return
	}
	c.dropInput()
	c.lingering = true
	c.extend(lingerTime)
	c.await(input)
	if c.full && c.lingering { // else it is closed: the poller was full
		c.queue()
	}
}

// discard reads once, as receive does.
func (c *conn) discard() {
	n, err := read(c.fd, c.loop.input)
	switch {
	case n == len(c.loop.input) || n > 0 && c.closing:
		c.queue()
	case n == 0 && err != unix.EAGAIN:
		c.close()
	default:
		c.full = false
	}
}

// await makes the poller wait for interest.
func (c *conn) await(interest Interest) {
	if c.interest == interest {
		return
	}
	if err := c.register(interest); err != nil {
		c.close() // unwatched it would stay for ever
		return
	}
	c.interest = interest
}

func (c *conn) register(interest Interest) error {
	l := c.loop
	if c.interest != 0 {
		return l.poller.Modify(int(c.fd), c.token, interest)
	}
	if err := l.poller.Add(int(c.fd), c.token, interest); err != nil {
		l.refused = fmt.Errorf("watch accepted connection: %w", err)
		return l.refused
	}
	return nil
}

func (c *conn) unwatch() {
	if c.interest == 0 {
		return
	}
	// It fails only for a descriptor that is not watched, and then there is nothing
	// to remove.
	_ = c.loop.poller.Remove(int(c.fd))
	c.interest = 0
}

// queue asks for a turn of its own: the poller cannot know of input that has
// been read already.
func (c *conn) queue() {
	c.queued = true
	c.loop.again = append(c.loop.again, c.token)
}

// enter notes the phase that the handler answered. A message that goes on in
// the same phase gets no more time for it.
func (c *conn) enter(next Phase, consumed int) {
	if next == c.phase && consumed == 0 {
		return
	}
	c.phase = next
	c.extend(c.loop.timeouts[next])
}

// extend moves the deadline. Usually it moves away while the timer is pending
// and nothing else needs doing: a request costs no work on the wheel.
func (c *conn) extend(d time.Duration) {
	c.deadline = c.loop.now + int64(d)
	due := roundUp(c.deadline, int64(deadlineGrain))
	if !c.timer.pending() || due < c.timer.due {
		c.loop.wheel.set(&c.timer, due)
	}
}

// expire is the timer's call: the deadline has passed, or had moved away.
func (c *conn) expire() {
	switch {
	case c.loop.now < c.deadline:
		c.loop.wheel.set(&c.timer, roundUp(c.deadline, int64(deadlineGrain)))
	case c.resting():
		c.extend(lingerTime) // BEFORE part, which may close or give it other work
		c.part()
	default:
		c.close()
	}
}

// close ends the connection. It leaves the poller BEFORE the descriptor is closed, see
// Poller.
func (c *conn) close() {
	if c.loop.drain.begun {
		c.countEnd()
	}
	c.unwatch()
	c.dropErrand()
	closeSocket(c.fd)
	c.leave()
}

// leave takes the connection out of the loop, but for its descriptor.
func (c *conn) leave() {
	l := c.loop
	c.timer.Stop()
	c.dropInput()
	c.dropOutput()
	l.registry.removeConn(c.token)
	l.reuseConn(c)
}

func roundUp(n, to int64) int64 { return ceilDivide(n, to) * to }
