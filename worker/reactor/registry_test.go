package reactor

import "testing"

func TestRegistry(t *testing.T) {
	t.Parallel()
	var r registry
	a, b, ls := new(conn), new(conn), new(listener)
	ta, tl := r.addConn(a), r.addListener(ls)
	if r.conn(ta) != a || r.listener(ta) != nil || r.listener(tl) != ls || r.conn(tl) != nil || r.conns.used != 1 {
		t.Error("what was added is not found as what it is")
	}
	r.removeConn(ta)
	r.removeConn(ta) // stale by now: harmless
	tb := r.addConn(b)
	if uint32(ta) != uint32(tb) || ta == tb {
		t.Errorf("tokens %x and %x: want the same entry in another generation", ta, tb)
	}
	if r.conn(ta) != nil || r.conn(tb) != b || r.conns.used != 1 {
		t.Error("a stale token finds something, or the new one nothing")
	}
	for _, unknown := range []Token{TokenMax, 1 << 20, tl + 1<<32, listenerBit | 1} {
		if r.conn(unknown) != nil || r.listener(unknown) != nil {
			t.Errorf("token %x finds something", unknown)
		}
	}
}

// Generations come round without ever reaching the poller's own tokens.
func TestRegistryGenerationWraps(t *testing.T) {
	t.Parallel()
	var r registry
	r.removeConn(r.addConn(new(conn)))
	r.conns.at(0).generation = generationMask
	last := r.addConn(new(conn))
	if last > TokenMax {
		t.Errorf("token %x is beyond TokenMax", last)
	}
	r.removeConn(last)
	if first := r.addConn(new(conn)); first != 0 {
		t.Errorf("got token %x after the last generation, want the first again", first)
	}
}

// A table finds what is in it when it has more than a page, and walks through the rest
// while some of it leaves.
func TestTableOfPages(t *testing.T) {
	t.Parallel()
	const count = 2*pageSize + 1
	var r registry
	tokens := map[*conn]Token{}
	for range count {
		c := new(conn)
		tokens[c] = r.addConn(c)
	}
	seen := 0
	for c := range r.conns.all() {
		if seen++; r.conn(tokens[c]) != c {
			t.Fatalf("token %x finds another connection", tokens[c])
		}
		r.removeConn(tokens[c])
	}
	if seen != count || r.conns.used != 0 || r.conns.made != count {
		t.Errorf("walked through %d, %d left, %d entries: want %d, none, %[4]d", seen, r.conns.used, r.conns.made, count)
	}
	for range count {
		r.addConn(new(conn))
	}
	if r.conns.made != count {
		t.Errorf("got %d entries, want the %d free ones used again", r.conns.made, count)
	}
}
