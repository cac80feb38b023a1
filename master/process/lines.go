package process

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
)

const (
	// LineMax is the most bytes that come as one line; a longer line comes in
	// pieces.
	LineMax = 8 << 10
	// linesPendingMax is how many bytes of lines wait for emit before lines are
	// dropped. Each stream of each worker may need it.
	linesPendingMax = 128 << 10
)

// Lines reads r to its end and hands each line, without its line feed, to emit,
// in order and from the caller's goroutine. It goes on reading while emit is
// stuck, so that a worker never blocks on its output because of a full disk or
// a stopped terminal: lines that find linesPendingMax bytes waiting are lost.
// dropped is how many were lost just before this line; when the last ones were,
// a final call has an empty line and the number.
//
// It returns after the last emit: nil at end of file, or when r was closed by
// somebody else (which is how to end it), otherwise the read error. The line is
// as the worker wrote it, not necessarily UTF-8.
func Lines(r io.Reader, emit func(line string, dropped int)) error {
	var q lineQueue
	q.changed.L = &q.mu
	go q.fill(r)
	for {
		line, ok := q.next()
		if !ok {
			break
		}
		emit(line.text, line.dropped)
	}
	// next has seen the end: nobody else touches q any more.
	if q.dropped > 0 {
		emit("", q.dropped)
	}
	return q.err
}

type line struct {
	text    string
	dropped int // lines lost just before this one
}

func (l line) cost() int { return len(l.text) + lineOverhead }

// lineOverhead stands for the memory of a line besides its text: without it
// empty lines would pile up without bound.
const lineOverhead = 32

// lineQueue stands between the reader, which must never wait, and emit.
type lineQueue struct {
	mu      sync.Mutex
	changed sync.Cond
	lines   []line
	pending int   // sum of the lines' cost
	dropped int   // lines lost since the last one in lines
	ended   bool  // the reader has left
	err     error // why, if not at end of file
}

// fill is the reader's goroutine. It ends with r.
func (q *lineQueue) fill(r io.Reader) {
	in := bufio.NewReaderSize(r, LineMax)
	piece := false // the last push was not yet the end of its line
	for {
		raw, err := in.ReadSlice('\n')
		text := bytes.TrimSuffix(raw, []byte("\n"))
		// An empty rest only ends the line whose pieces are out already.
		if len(text) > 0 || (err == nil && !piece) {
			q.push(string(text))
		}
		piece = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !piece {
			q.end(err)
			return
		}
	}
}

func (q *lineQueue) push(text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := line{text: text, dropped: q.dropped}
	if q.pending+l.cost() > linesPendingMax {
		q.dropped++
		return
	}
	q.dropped = 0
	q.pending += l.cost()
	q.lines = append(q.lines, l)
	q.changed.Signal()
}

func (q *lineQueue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		q.err = err
	}
	q.changed.Signal()
}

// next waits for a line; ok is false when there is none left and none will come.
func (q *lineQueue) next() (l line, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 {
		if q.ended {
			return line{}, false
		}
		q.changed.Wait()
	}
	l = q.lines[0]
	q.lines[0] = line{} // or the array would keep the text of lines long gone
	q.lines = q.lines[1:]
	q.pending -= l.cost()
	return l, true
}
