package reactor

import "iter"

// registry gives connections, listening sockets and pairs their tokens, and finds them
// by these.
//
//	bits   0–31   index of the entry
//	bits  32–60   generation of the entry
//	bit   61      a pair's, by which connections are handed over
//	bit   62      a listening socket's
//	bit   63      not a loop's token, see TokenMax
//
// An entry is used again and again, like a descriptor's number, but its generation
// grows with each use. An event that the kernel noted for a connection which has
// been closed since carries the old generation: it finds nothing, and cannot hit
// the connection that has got the same entry and perhaps the same descriptor. 29
// bits: the generation of one entry comes round after half a billion connections, an
// event is at most one turn old.
type registry struct {
	conns     table[conn]
	listeners table[listener]
	pairs     table[pair]
}

const (
	generationMask = 1<<29 - 1
	pairBit        = Token(1) << 61
	listenerBit    = Token(1) << 62
)

func (r *registry) addConn(c *conn) Token          { return r.conns.add(c) }
func (r *registry) removeConn(t Token)             { r.conns.remove(t) }
func (r *registry) addListener(ls *listener) Token { return r.listeners.add(ls) | listenerBit }
func (r *registry) removeListener(t Token)         { r.listeners.remove(t &^ listenerBit) }
func (r *registry) addPair(p *pair) Token          { return r.pairs.add(p) | pairBit }
func (r *registry) removePair(t Token)             { r.pairs.remove(t &^ pairBit) }

// conn returns nil when the token is stale or no connection's.
func (r *registry) conn(t Token) *conn { return r.conns.find(t) }

// listener returns nil when the token is stale or no listener's.
func (r *registry) listener(t Token) *listener {
	if t&listenerBit == 0 {
		return nil
	}
	return r.listeners.find(t &^ listenerBit)
}

// pair returns nil when the token is stale or no pair's.
func (r *registry) pair(t Token) *pair {
	if t&pairBit == 0 {
		return nil
	}
	return r.pairs.find(t &^ pairBit)
}

// pageSize is how many entries a table gets at a time. One growing slice would
// leave copies of itself behind, together several times its own size.
const pageSize = 256

// table holds things by index and generation.
type table[T any] struct {
	pages []*[pageSize]entry[T]
	free  uint32 // the free entry that was left last, plus 1; 0: none is free
	made  int    // entries that have ever been used
	used  int    // those that are
}

type entry[T any] struct {
	thing      *T // nil: free
	generation uint32
	next       uint32 // free: the one that was left before it, as in table.free
}

func (t *table[T]) add(thing *T) Token {
	t.used++
	index := uint32(t.made)
	if t.free != 0 {
		index = t.free - 1
		t.free = t.at(int(index)).next
	} else {
		if t.made == len(t.pages)*pageSize {
			t.pages = append(t.pages, new([pageSize]entry[T]))
		}
		t.made++
	}
	e := t.at(int(index))
	e.thing, e.next = thing, 0
	return Token(index) | Token(e.generation)<<32
}

// remove does nothing when the token is stale.
func (t *table[T]) remove(token Token) {
	if t.find(token) == nil {
		return
	}
	t.used--
	index := uint32(token)
	e := t.at(int(index))
	*e = entry[T]{generation: (e.generation + 1) & generationMask, next: t.free}
	t.free = index + 1
}

func (t *table[T]) find(token Token) *T {
	index := int(uint32(token))
	if index >= t.made {
		return nil
	}
	if e := t.at(index); Token(e.generation) == token>>32 {
		return e.thing
	}
	return nil
}

func (t *table[T]) at(index int) *entry[T] { return &t.pages[index/pageSize][index%pageSize] }

// all walks through what is in the table. Things may leave it meanwhile.
func (t *table[T]) all() iter.Seq[*T] { return t.some(0, t.made) }

// some walks through the entries from one index up to, but not including, another.
func (t *table[T]) some(from, to int) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := from; i < to; i++ {
			if thing := t.at(i).thing; thing != nil && !yield(thing) {
				return
			}
		}
	}
}
