package reactor

// stash is what a connection has in hand between two turns: input that its handler
// has left unread, answers that its socket has not taken, an errand. Most connections
// have nothing most of the time, and then they have no stash either.
type stash struct {
	in   []byte // nil: none
	out  []byte // nil: none
	sent int    // how much of out the socket has taken
	trip trip   // begins when out is empty
	lent *Lent  // it is away, and this is what its errand has; nil: it is here
}

func (s *stash) empty() bool {
	return s.in == nil && s.out == nil && s.trip.errand == nil && s.lent == nil
}

// hasOutput says that the socket has not taken all answers.
func (c *conn) hasOutput() bool { return c.stash != nil && c.stash.out != nil }

// away says that an errand has the connection.
func (c *conn) away() bool { return c.stash != nil && c.stash.lent != nil }

// unread is the input that the handler has left; nil: none.
func (c *conn) unread() []byte {
	if c.stash == nil {
		return nil
	}
	return c.stash.in
}

// keep stores what the handler has left. rest lies in the loop's buffer, or in the
// stash, where it moves to the front.
func (c *conn) keep(rest []byte) {
	if len(rest) == 0 {
		c.dropInput()
		return
	}
	s := c.needStash()
	if s.in == nil {
		s.in = c.loop.buffers.get(len(rest))
	}
	s.in = append(s.in[:0], rest...)
}

// keepOutput stores answers that the socket has not taken.
func (c *conn) keepOutput(rest []byte) {
	c.needStash().out = append(c.loop.buffers.get(len(rest)), rest...)
}

func (c *conn) dropInput() {
	if s := c.stash; s != nil {
		c.loop.buffers.put(s.in)
		s.in = nil
	}
	c.tidy()
}

func (c *conn) dropOutput() {
	if s := c.stash; s != nil {
		c.loop.buffers.put(s.out)
		s.out, s.sent = nil, 0
	}
	c.tidy()
}

func (c *conn) needStash() *stash {
	if c.stash == nil {
		c.stash = c.loop.buffers.stash()
	}
	return c.stash
}

// tidy gives the stash back if nothing is left in it.
func (c *conn) tidy() {
	if c.stash != nil && c.stash.empty() {
		c.loop.buffers.putStash(c.stash)
		c.stash = nil
	}
}

// dropErrand lets go of an errand: one that is under way finds its connection gone,
// and so does one that has not begun. What it holds, it alone can give back.
func (c *conn) dropErrand() {
	if s := c.stash; s != nil {
		if s.lent != nil {
			s.lent.cut()
		}
		if errand := s.trip.errand; errand != nil {
			go c.loop.carryOut(errand, &Lent{gone: true})
		}
		s.trip, s.lent = trip{}, nil
	}
	c.tidy()
}
