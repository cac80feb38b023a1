package reactor

// connsKeptMax bounds the closed connections that wait to be used again.
const connsKeptMax = 1024

// newConn and reuseConn are the reuse step for connections: each keeps its timer, and
// its handler if that can serve another one. See buffers for what they hold.
func (l *Loop) newConn() *conn {
	n := len(l.freeConns)
	if n == 0 {
		c := &conn{loop: l}
		c.timer.fire = c.expire
		return c
	}
	c := l.freeConns[n-1]
	l.freeConns = l.freeConns[:n-1]
	return c
}

func (l *Loop) reuseConn(c *conn) {
	if len(l.freeConns) == connsKeptMax {
		return
	}
	*c = conn{loop: l, fd: -1, handler: reused(c.handler), timer: Timer{fire: c.timer.fire}}
	l.freeConns = append(l.freeConns, c)
}

func (l *Loop) reuseOutput(out []byte) {
	if cap(out) <= outputKeptMax {
		l.output = out
	}
}
