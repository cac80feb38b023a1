package jobs

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
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

// body reads the body of a request from its connection. It is an io.Reader for the
// application, and remembers what it has come to.
type body struct {
	source *bufio.Reader // what was unread, then the connection
	from   io.Reader     // the decoded body
	left   int           // bytes until it is complete, or too long
	plan   proto.Body
	state  state
	err    error // how it has ended; nil: it goes on
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
	b := &body{source: source, from: source, left: plan.Length, plan: plan}
	if plan.Length == proto.Chunked {
		// net/http's own: where it and our frame would disagree about a chunk, we are
		// the stricter ones.
		b.from, b.left = httputil.NewChunkedReader(source), plan.Max+1
	}
	return b, nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
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
// body was.
func (b *body) finish() state {
	if _, err := io.CopyN(io.Discard, b, unwantedMax); err == nil && b.err == nil {
		return unwanted
	}
	return b.state
}

// rest is what was read behind the body.
func (b *body) rest() []byte {
	rest, _ := b.source.Peek(b.source.Buffered()) // what is there cannot fail
	return rest
}
