package reactor

import "testing"

func TestRegistry(t *testing.T) {
	t.Parallel()
	var r registry
	a, b, ls := new(conn), new(conn), new(listener)
	ta, tl := r.addConn(a), r.addListener(ls)
	if r.conn(ta) != a || r.listener(ta) != nil || r.listener(tl) != ls || r.conn(tl) != nil || r.conns != 1 {
		t.Error("what was added is not found as what it is")
	}
	r.remove(ta)
	r.remove(ta) // stale by now: harmless
	tb := r.addConn(b)
	if uint32(ta) != uint32(tb) || ta == tb {
		t.Errorf("tokens %x and %x: want the same entry in another generation", ta, tb)
	}
	if r.conn(ta) != nil || r.conn(tb) != b || r.conns != 1 {
		t.Error("a stale token finds something, or the new one nothing")
	}
	for _, unknown := range []Token{TokenMax, 1 << 20, tl + 1<<32} {
		if r.conn(unknown) != nil || r.listener(unknown) != nil {
			t.Errorf("token %x finds something", unknown)
		}
	}
}

// Generations come round without ever reaching the poller's own tokens.
func TestRegistryGenerationWraps(t *testing.T) {
	t.Parallel()
	var r registry
	r.remove(r.addConn(new(conn)))
	r.entries[0].generation = generationMask
	last := r.addConn(new(conn))
	if last > TokenMax {
		t.Errorf("token %x is beyond TokenMax", last)
	}
	r.remove(last)
	if first := r.addConn(new(conn)); first != 0 {
		t.Errorf("got token %x after the last generation, want the first again", first)
	}
}
