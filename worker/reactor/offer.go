package reactor

// Offer gives a connection of a Taker to an heir, see Give; unread is what was read
// from it and not served. The connection must be between two messages, and not be
// watched by anybody: epoll follows the open file. It is the loop's from here on. If no
// heir takes it, it comes back by TakeOver, at the end of this turn at the earliest. On
// the loop only.
func (l *Loop) Offer(fd int, unread []byte) {
	c := l.newConn()
	c.fd, c.phase, c.offered = int32(fd), Idle, true
	if len(unread) > 0 {
		c.phase = Header
	}
	c.token = l.registry.addConn(c)
	c.keep(unread)
	l.gifts = append(l.gifts, c.token)
}

// handBack gives the taker a connection: one that it has offered in vain, or another
// worker's.
func (c *conn) handBack() {
	l, fd, unread := c.loop, int(c.fd), append([]byte(nil), c.unread()...)
	c.leave()
	l.taker.TakeOver(fd, unread)
}
