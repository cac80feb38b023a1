package reactor

// registry finds the connection or listener that a token stands for.
//
//	bit 63    bits 62..32    bits 31..0
//	  0       generation     index into entries
//
// An entry is used again and again, like a descriptor's number, but its
// generation grows with each use. An event that the kernel noted for a
// connection which has been closed since carries the old generation: it finds
// nothing, and cannot hit the connection that has got the same entry and
// perhaps the same descriptor. 31 bits: the generation of one entry comes
// round after two billion connections, an event is at most one turn old.
type registry struct {
	entries []entry
	free    []uint32
	conns   int
}

type entry struct {
	generation uint32
	conn       *conn
	listener   *listener
}

const generationMask = 1<<31 - 1

func (r *registry) addConn(c *conn) Token {
	r.conns++
	return r.add(entry{conn: c})
}

func (r *registry) addListener(ls *listener) Token {
	return r.add(entry{listener: ls})
}

// addBell makes a token that stands for neither, and stays.
func (r *registry) addBell() Token { return r.add(entry{}) }

// conn returns nil when the token is stale or no connection's.
func (r *registry) conn(t Token) *conn {
	if e := r.find(t); e != nil {
		return e.conn
	}
	return nil
}

// listener returns nil when the token is stale or no listener's.
func (r *registry) listener(t Token) *listener {
	if e := r.find(t); e != nil {
		return e.listener
	}
	return nil
}

func (r *registry) remove(t Token) {
	e := r.find(t)
	if e == nil {
		return
	}
	if e.conn != nil {
		r.conns--
	}
	*e = entry{generation: (e.generation + 1) & generationMask}
	r.free = append(r.free, uint32(t))
}

func (r *registry) add(e entry) Token {
	index := uint32(len(r.entries))
	if n := len(r.free); n > 0 {
		index, r.free = r.free[n-1], r.free[:n-1]
		e.generation = r.entries[index].generation
		r.entries[index] = e
	} else {
		r.entries = append(r.entries, e)
	}
	return Token(index) | Token(e.generation)<<32
}

func (r *registry) find(t Token) *entry {
	index := uint32(t)
	if int64(index) >= int64(len(r.entries)) {
		return nil
	}
	if e := &r.entries[index]; Token(e.generation) == t>>32 {
		return e
	}
	return nil
}
