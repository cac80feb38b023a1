package proto

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"time"

	"prefork/worker/reactor"
)

const (
	// readAhead is what a job asks the kernel for at a time, in bytes.
	readAhead = 32 << 10
	// unwantedMax is how much of a body is read that the application has left unread,
	// in bytes, before the connection is given up (net/http: 256 KiB).
	unwantedMax = 256 << 10
)

// bodyNotWanted: the application has left too much of a body unread.
const bodyNotWanted verdict = -1

var (
	errTooLong       = errors.New("request body is longer than the limit")
	errBadTrailer    = errors.New("request body has no well-formed trailer")
	errHeaderChanged = errors.New("a header that was well-formed is not any more")
)

// bodyPlan says how a body is to be read.
type bodyPlan struct {
	length int // bytes, or chunked
	limits limits
}

// body reads the body of a request from its connection. It is an io.Reader for the
// application, and remembers what it has come to.
type body struct {
	source *bufio.Reader // what was unread, then the connection
	from   io.Reader     // the decoded body
	left   int           // bytes until it is complete, or too long
	plan   bodyPlan
	state  verdict
	err    error // how it has ended; nil: it goes on
}

// open begins to read. Whatever its length, the body has to be there within timeout.
func (p bodyPlan) open(lent *reactor.Lent, timeout time.Duration) (*body, error) {
	conn, err := lent.Conn()
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	source := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(lent.Unread()), conn), readAhead)
	b := &body{source: source, from: source, left: p.length, plan: p}
	if p.length == chunked {
		// net/http's own: where it and our frame would disagree about a chunk, we are
		// the stricter ones.
		b.from, b.left = httputil.NewChunkedReader(source), p.limits.body+1
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
	case b.left == 0 && b.plan.length == chunked:
		b.end(bodyTooLarge, errTooLong)
	case b.left == 0:
		b.end(complete, io.EOF)
	case err == io.EOF && b.plan.length == chunked:
		b.readTrailer()
	case err == io.EOF || isCutOff(err):
		b.end(incomplete, io.ErrUnexpectedEOF)
	case err != nil:
		b.end(badRequest, err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

func (b *body) end(v verdict, err error) { b.state, b.err = v, err }

// readTrailer reads what follows the last chunk: fields that nobody wants and that must
// not pretend to be a header, and a blank line.
func (b *body) readTrailer() {
	trailer := []byte{}
	for !bytes.HasSuffix(trailer, lineEnd) || !bytes.HasSuffix(trailer, blankLine) && len(trailer) > len(lineEnd) {
		line, err := b.source.ReadSlice('\n')
		trailer = append(trailer, line...)
		switch {
		case err == bufio.ErrBufferFull || len(trailer) > b.plan.limits.trailer():
			b.end(headerTooLarge, errBadTrailer)
			return
		case err != nil:
			b.end(incomplete, io.ErrUnexpectedEOF)
			return
		}
	}
	if found, ok := readFields(trailer); !ok || found != (fields{}) {
		b.end(badRequest, errBadTrailer)
		return
	}
	b.end(complete, io.EOF)
}

// finish reads what the application has left, within reason, and returns what the
// body was: complete, incomplete, bodyNotWanted, or refused.
func (b *body) finish() verdict {
	if _, err := io.CopyN(io.Discard, b, unwantedMax); err == nil && b.err == nil {
		return bodyNotWanted
	}
	return b.state
}

// rest is what was read behind the body.
func (b *body) rest() []byte {
	rest, _ := b.source.Peek(b.source.Buffered()) // what is there cannot fail
	return rest
}
