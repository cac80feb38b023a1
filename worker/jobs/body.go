package jobs

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"prefork/worker/proto"
	"prefork/worker/reactor"
)

const (
	// readAhead is what a job asks the kernel for at a time, in bytes.
	readAhead = 32 << 10
	// unwantedMax is how much of a body is read that the application has left unread,
	// in bytes, before the connection is given up (net/http: 256 KiB).
	unwantedMax = 256 << 10
	// unwantedTime bounds how long that may take.
	unwantedTime = time.Second
)

// state is what has become of a body, or the HTTP status with which it is refused.
type state int

const (
	whole    state = iota
	cutOff         // it has not come to an end, or not in time
	unwanted       // the application has left too much of it unread

	malformed   state = http.StatusBadRequest
	tooLong     state = http.StatusRequestEntityTooLarge
	longTrailer state = http.StatusRequestHeaderFieldsTooLarge
)

var (
	errTooLong    = errors.New("request body is longer than the limit")
	errBadTrailer = errors.New("request body has no well-formed trailer")

	lineEnd   = []byte("\r\n")
	blankLine = []byte("\r\n\r\n") // with the end of the line before it
)

// body reads the body of a request from its connection. It is the application's to
// read, and remembers what it has come to.
type body struct {
	conn   net.Conn
	source *bufio.Reader // what was unread, then conn
	from   io.Reader     // the decoded body
	plan   proto.Body

	// over: the application has no part in it any more. It may have left somebody
	// behind who still reads.
	over atomic.Bool

	mu    sync.Mutex
	left  int // bytes until it is complete, or too long
	state state
	err   error // how it has ended; nil: it goes on
}

// openBody begins to read. Whatever its length, the body has to be there within
// timeout.
func openBody(plan proto.Body, lent *reactor.Lent, timeout time.Duration) (*body, error) {
	conn, err := lent.Conn()
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	source := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(lent.Unread()), conn), readAhead)
	b := &body{conn: conn, source: source, from: source, left: plan.Length, plan: plan}
	if plan.Length == proto.Chunked {
		// net/http's own: where it and our frame would disagree about a chunk, we are
		// the stricter ones.
		b.from, b.left = httputil.NewChunkedReader(source), plan.Max+1
	}
	return b, nil
}

// Read implements io.Reader, for the application.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

// Close implements io.Closer, for the application.
func (b *body) Close() error {
	b.over.Store(true)
	return nil
}

func (b *body) read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	switch {
	case b.left == 0 && b.plan.Length == proto.Chunked:
		b.end(tooLong, errTooLong)
	case b.left == 0:
		b.end(whole, io.EOF)
	case err == io.EOF && b.plan.Length == proto.Chunked:
		b.readTrailer()
	case err == io.EOF || isCutOff(err):
		b.end(cutOff, io.ErrUnexpectedEOF)
	case err != nil:
		b.end(malformed, err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

func (b *body) end(s state, err error) { b.state, b.err = s, err }

// readTrailer reads what follows the last chunk: fields that nobody wants and that must
// not pretend to be a header, and a blank line.
func (b *body) readTrailer() {
	trailer := []byte{}
	for !bytes.HasSuffix(trailer, lineEnd) || !bytes.HasSuffix(trailer, blankLine) && len(trailer) > len(lineEnd) {
		line, err := b.source.ReadSlice('\n')
		trailer = append(trailer, line...)
		switch {
		case err == bufio.ErrBufferFull || len(trailer) > b.plan.MaxTrailer:
			b.end(longTrailer, errBadTrailer)
			return
		case err != nil:
			b.end(cutOff, io.ErrUnexpectedEOF)
			return
		}
	}
	if !proto.IsTrailer(trailer) {
		b.end(malformed, errBadTrailer)
		return
	}
	b.end(whole, io.EOF)
}

// finish reads what the application has left, within reason, and returns what the
// body was. The application has its answer by then, so a rest that does not come is
// one that nobody wanted.
func (b *body) finish() state {
	b.over.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.state
	}
	if b.plan.Length != proto.Chunked && b.left > unwantedMax {
		return unwanted
	}
	// A connection that is gone says so by the next read.
	_ = b.conn.SetReadDeadline(time.Now().Add(unwantedTime))
	_, _ = io.CopyN(io.Discard, readerFunc(b.read), unwantedMax) // err has the error
	if b.err == nil || b.state == cutOff {
		return unwanted
	}
	return b.state
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// rest is what was read behind the body.
func (b *body) rest() []byte {
	rest, _ := b.source.Peek(b.source.Buffered()) // what is there cannot fail
	return rest
}
