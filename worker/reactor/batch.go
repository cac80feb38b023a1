package reactor

import "time"

const (
	// batchMax bounds the connections that are served together.
	batchMax = 16
	// pieceMax is what is read of each of them: most requests. The rest comes next turn.
	pieceMax = 4 << 10
	// batchTime is how long a batch may take, and so how long an answer may wait for its
	// neighbours'.
	batchTime = time.Millisecond
	// narrowTime is how long connections are served alone after a batch took longer: a
	// handler that is slow now and then shall find nobody's answer to hold back.
	narrowTime = 100 * time.Millisecond
)

// batch is connections that were ready at once and are served step by step together:
// all are read, all handlers run, all answers are sent.
//
// It costs less than one after the other. A kernel that guards itself against Meltdown
// has the processor forget at each return from a system call where the memory of the
// process is, and much else is displaced meanwhile: code that runs between two calls
// runs slowly at first. A handler that follows another one does not; for small HTTP
// requests this makes up 5 % of all that they cost, the kernel's part included.
//
// The price: while one handler works, answers of its batch that are ready wait. So
// batches are wide only as long as handlers are quick.
type batch struct {
	width  int   // connections that may be served together
	narrow int64 // until then, by the loop's clock, it does not grow
	pieces []piece
}

// piece is what one connection has brought, and where its answer is in the output.
type piece struct {
	c        *conn
	in       []byte // of the loop's input
	from, to int
}

func newBatch() batch { return batch{width: 1, pieces: make([]piece, 0, batchMax)} }

// adapt sets the width after a batch.
func (b *batch) adapt(took time.Duration, now int64) {
	switch {
	case took > batchTime:
		b.width, b.narrow = 1, now+int64(narrowTime)
	case now >= b.narrow:
		b.width = min(2*b.width, batchMax)
	}
}

// serve serves connections that are ready: together those that have nothing in hand,
// AFTER the others, which use the same buffers.
func (l *Loop) serve(ready []Token) {
	pieces := l.batch.pieces[:0]
	for _, token := range ready {
		c := l.registry.conn(token &^ Ended)
		if c == nil {
			l.noteOther(token)
			continue
		}
		c.note(token&Ended != 0)
		if len(ready) > 1 && c.bare() {
			pieces = append(pieces, piece{c: c})
			continue
		}
		c.dispatch()
	}
	brought := l.readAll(pieces)
	for len(brought) > 0 {
		brought = brought[l.answer(brought):]
	}
	clear(pieces) // they hold what may be gone soon
}

// readAll reads from each connection, and returns those that have brought something.
func (l *Loop) readAll(pieces []piece) []piece {
	brought, free := pieces[:0], l.input
	for _, p := range pieces {
		if len(free) == 0 {
			p.c.queue() // to read it
			continue
		}
		room := free[:min(pieceMax, len(free))]
		if n, _ := p.c.fetch(room); n > 0 {
			p.in, free = room[:n], free[n:]
			brought = append(brought, p)
		}
	}
	return brought
}

// answer has handlers run until their answers are long enough, and sends these. It
// returns how many connections that were.
func (l *Loop) answer(pieces []piece) int {
	out, n := l.output[:0], 0
	for ; n < len(pieces) && len(out) < outputPerTurnMax; n++ {
		p := &pieces[n]
		p.from = len(out)
		// Each handler gets what is free behind the others' answers, and cannot harm them.
		out = append(out, p.c.handleAll(p.in, out[len(out):])...)
		p.to = len(out)
	}
	for _, p := range pieces[:n] {
		p.c.reply(out[p.from:p.to])
	}
	l.reuseOutput(out)
	return n
}
