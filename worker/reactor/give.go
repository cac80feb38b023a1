package reactor

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// windowMax bounds the parcels that an heir has not acknowledged. All givers of a
	// user share what the kernel lets be under way: RLIMIT_NOFILE descriptors, 1,024 as
	// a rule (unix(7), ETOOMANYREFS).
	windowMax = 2
	// heirPause is how long an heir is left alone that could not take all of a parcel,
	// and how long the kernel when it could not carry one.
	heirPause = 100 * time.Millisecond
	// heirPatience is how long an heir may leave a parcel unacknowledged: its clients
	// wait. One that is well sleeps or works on other things for much less.
	heirPatience = 5 * time.Second
	// choiceTime bounds how long a Taker may be about offering what a Give of some has
	// asked for.
	choiceTime = time.Second
)

// everything is what an heir is to get for which nobody has set a number.
const everything = math.MaxInt

var errSilent = fmt.Errorf("no answer for %v", heirPatience)

// heir is another worker that takes what we give.
type heir struct {
	pair
	datagram int // how long a parcel may be, in bytes
	left     int // connections that it is still to be sent
	looked   int // an heir of some: connections with an index below this have been looked at
	sequence uint32
	sent     []sentParcel // not acknowledged, the oldest first
	pause    Timer        // pending: it is sent nothing
	patience Timer        // pending while something is not acknowledged
	choice   Timer        // ends an heir of some
}

type sentParcel struct {
	sequence uint32
	tokens   []Token
}

// Give hands connections over to another worker, whose loop has the other end of a
// pair by Take. fd is the loop's from here on, also when there is an error.
//
// With count 0 that worker inherits: as long as this loop drains it gets each
// connection that is between two messages, or has brought no more than the beginning of
// one. Several heirs share. From now on a drain closes no connection that can be handed
// over, and Draining says false, while one of them lives. When the last has gone the
// connections stay, for another one may come, until the drain's deadline is a second
// away; without a deadline nobody waits for one.
//
// Else it gets up to count idle connections, whether the loop drains or not.
//
// On the loop only. Errors: a negative count; fd is not one end of a pair; what the
// kernel refuses.
func (l *Loop) Give(fd, count int) error {
	h := &heir{left: count}
	if count == 0 {
		h.left = everything
	}
	if err := h.begin(l, fd); err != nil {
		return fmt.Errorf("give connections: %w", err)
	}
	l.heirs = append(l.heirs, h)
	l.needMailbox()
	if count == 0 {
		l.drain.inherited, l.drain.looked = true, 0
	}
	return nil
}

func (h *heir) begin(l *Loop, fd int) error {
	if h.left < 0 {
		unix.Close(fd)
		return errors.New("less than none")
	}
	if err := h.open(l, fd); err != nil {
		unix.Close(fd)
		return err
	}
	var err error
	if h.datagram, err = h.room(); err != nil {
		h.close()
		return err
	}
	h.pause.fire = h.resume
	h.patience.fire = func() { h.fail(errSilent) }
	h.choice.fire = func() { h.left = 0 }
	if h.left != everything {
		l.wheel.set(&h.choice, l.clock()+int64(choiceTime))
	}
	return nil
}

// takes says that what is offered now finds this heir, if not at once.
func (h *heir) takes() bool {
	if h.over || h.left == 0 || h.pause.pending() {
		return false
	}
	if h.left == everything {
		return h.loop.drain.begun
	}
	return h.loop.config.Taker != nil
}

// picks says that this is an heir of some who has to look for them.
func (h *heir) picks() bool {
	return !h.over && h.left != everything && h.loop.config.Taker == nil
}

// hasRoom says that it can be sent another parcel.
func (h *heir) hasRoom() bool {
	return !h.over && h.left > 0 && !h.pause.pending() && len(h.sent) < windowMax
}

// giveSome looks for idle connections, and ends an heir of some that has got them.
func (h *heir) giveSome() {
	if h.picks() && h.hasRoom() {
		h.give(h.pick())
		if h.looked == h.loop.registry.conns.made {
			h.left = 0
		}
	}
	if h.left == 0 && len(h.sent) == 0 {
		h.end()
	}
}

// pick looks at so many connections as fit into a parcel.
func (h *heir) pick() (idle []Token) {
	conns := &h.loop.registry.conns
	end := min(conns.made, h.looked+parcelMax)
	for c := range conns.some(h.looked, end) {
		if c.resting() && c.unread() == nil && c.portable() && len(idle) < h.left {
			idle = append(idle, c.token)
		}
	}
	h.looked = end
	return idle
}

// give sends a parcel of as many as go into one, and returns how many tokens it has
// dealt with: also those of connections that have gone, or cannot go now.
func (h *heir) give(tokens []Token) (used int) {
	data := appendHeader(h.loop.mailbox.data[:0], parcelMagic, 0, h.sequence+1)
	var conns []*conn
	for ; used < len(tokens) && len(conns) < min(parcelMax, h.left); used++ {
		c := h.loop.registry.conn(tokens[used])
		if c == nil {
			continue // it has ended meanwhile
		}
		it, ok := c.pack()
		fits := len(data)+it.size() <= h.datagram
		if ok && !fits && len(conns) > 0 {
			break // for the next parcel
		}
		if !ok || !fits {
			c.withdraw()
			continue
		}
		data, conns = appendItem(data, it), append(conns, c)
	}
	if len(conns) > 0 {
		setCount(data, len(conns))
		h.send(data, conns)
	}
	return used
}

// send sends a parcel. The connections leave the poller BEFORE: epoll follows the open
// file, and would tell us of what comes for the heir.
func (h *heir) send(data []byte, conns []*conn) {
	parcel := sentParcel{sequence: h.sequence + 1, tokens: make([]Token, len(conns))}
	fds := make([]int, len(conns))
	for i, c := range conns {
		c.becomeGiven()
		parcel.tokens[i], fds[i] = c.token, int(c.fd)
	}
	if err := h.transmit(data, fds); err != nil {
		h.notSent(err)
		h.loop.stay(parcel.tokens)
		return
	}
	h.sequence++
	h.sent = append(h.sent, parcel)
	h.expectAnswer()
	if h.left != everything {
		h.left -= len(conns)
	}
}

func (h *heir) notSent(err error) {
	switch later, gone := unsent(err); {
	case later:
		h.rest()
	case gone:
		h.end()
	default:
		h.fail(fmt.Errorf("send a parcel: %w", err))
	}
}

// hear reads what the heir has acknowledged.
func (h *heir) hear() {
	for !h.over {
		a, err := h.receiveAnswer()
		switch err {
		case nil:
			if err := h.acknowledge(a); err != nil {
				h.fail(err)
			}
		case unix.EAGAIN:
			return
		case io.EOF:
			h.end()
		default:
			h.fail(err)
		}
	}
}

func (h *heir) receiveAnswer() (acknowledgement, error) {
	data, fds, _, err := h.receive(h.loop.mailbox)
	if err != nil {
		return acknowledgement{}, err
	}
	if len(fds) > 0 {
		closeAll(fds)
		return acknowledgement{}, fmt.Errorf("%d descriptors that nobody has asked for", len(fds))
	}
	return parseAcknowledgement(data)
}

// acknowledge lets go of what the heir has taken of the oldest parcel, and keeps the
// rest of it.
func (h *heir) acknowledge(a acknowledgement) error {
	if len(h.sent) == 0 || a.sequence != h.sent[0].sequence || a.taken > len(h.sent[0].tokens) {
		return fmt.Errorf("it acknowledges %d connections of parcel %d, which is not under way", a.taken, a.sequence)
	}
	tokens := h.sent[0].tokens
	h.sent = h.sent[1:]
	h.expectAnswer()
	for _, token := range tokens[:a.taken] {
		h.loop.registry.conn(token).forget()
	}
	if a.taken > 0 {
		h.loop.config.Given(a.taken)
	}
	if a.taken < len(tokens) {
		h.rest() // BEFORE the others stay: they would be offered again at once
		h.loop.stay(tokens[a.taken:])
	} else if h.pause.pending() {
		h.resume()
	}
	return nil
}

// expectAnswer sets how long we wait for the answer to the oldest parcel.
func (h *heir) expectAnswer() {
	h.patience.Stop()
	if len(h.sent) > 0 {
		h.loop.wheel.set(&h.patience, h.loop.clock()+int64(heirPatience))
	}
}

// rest leaves the heir alone for a while. An heir of some has had its chance.
func (h *heir) rest() {
	if h.left != everything {
		h.left = 0
		return
	}
	h.loop.wheel.set(&h.pause, h.loop.now+int64(heirPause))
}

// resume ends a rest, and has all connections offered that nobody has offered
// meanwhile.
func (h *heir) resume() {
	h.pause.Stop()
	h.loop.drain.looked = 0
}

func (h *heir) fail(err error) {
	h.loop.config.Report(&HandOverError{Giving: true, Err: err})
	h.end()
}

// end is the end of the pair. Once it is shut down the heir can acknowledge nothing
// more, and what it has not acknowledged by then it will never touch: that is ours.
func (h *heir) end() {
	if h.over {
		return
	}
	_ = unix.Shutdown(h.fd, unix.SHUT_RDWR) // fails if the heir has gone
	for {
		a, err := h.receiveAnswer()
		if err != nil || h.acknowledge(a) != nil {
			break
		}
	}
	h.pause.Stop()
	h.patience.Stop()
	h.choice.Stop()
	h.close()
	for _, parcel := range h.sent {
		h.loop.stay(parcel.tokens)
	}
	h.sent = nil
}
