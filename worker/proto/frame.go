package proto

import (
	"bytes"
	"strconv"

	"github.com/valyala/fasthttp"
)

// verdict is what can be said about a message so far: incomplete, complete, or
// else the HTTP status with which it is refused.
type verdict int

const (
	incomplete        verdict = 0
	complete          verdict = 1
	badRequest        verdict = fasthttp.StatusBadRequest
	bodyTooLarge      verdict = fasthttp.StatusRequestEntityTooLarge
	expectationFailed verdict = fasthttp.StatusExpectationFailed
	headerTooLarge    verdict = fasthttp.StatusRequestHeaderFieldsTooLarge
	notNow            verdict = fasthttp.StatusServiceUnavailable
)

// Body lengths that are none, in fasthttp's notation (see
// fasthttp.RequestHeader.ContentLength).
const (
	chunked = -1
	noBody  = -2
)

const (
	// chunkLineMax bounds the line that announces a chunk, in bytes. It holds a
	// number; extensions are allowed and mean nothing to us.
	chunkLineMax = 256
	// chunkLineUsual is what the line may take without being counted, and twice the
	// chunk's data besides. What is more counts up to excessMax in all, as in
	// net/http: extensions can hide a lot in a message of few data.
	chunkLineUsual = 16
	excessMax      = 16 << 10
	// trailerMax bounds the trailer with its blank line, in bytes, if the limit of a
	// header does not. It is net/http's.
	trailerMax = 4 << 10
)

var (
	lineEnd   = []byte("\r\n")
	blankLine = []byte("\r\n\r\n") // with the end of the line before it
)

// limits bound a message, in bytes.
type limits struct {
	header int // request line and fields
	body   int // decoded
	whole  int // of a body that is held, if there are jobs for longer ones
	stream int // of an answer whose body comes from an io.Reader
}

// frame finds the end of one message in input that grows from call to call.
// It remembers where it stopped, so the work is linear in the length of the
// message, however small its pieces. It looks at framing only; what it takes
// for a message, fasthttp must take for the same message.
type frame struct {
	searched  int // input before this holds no end of the header; later, none of the message
	header    int // length of the header with its blank line; 0: not known yet
	length    int // of the body: bytes, chunked or noBody
	data      int // chunked: bytes in the complete chunks
	announced int // chunked: data, and the bytes in the chunk behind it
	excess    int // chunked: what their lines take beyond what is usual
	end       int // length of the whole message, once complete
}

// findHeader looks for the blank line that ends the header. A message does not
// begin with an empty line.
func (f *frame) findHeader(in []byte, limit limits) verdict {
	if in[0] == '\r' || in[0] == '\n' {
		return badRequest
	}
	window := in[:min(len(in), limit.header)]
	if i := bytes.Index(window[f.searched:], blankLine); i >= 0 {
		f.header = f.searched + i + len(blankLine)
		return complete
	}
	// The blank line may have begun in the last three bytes.
	f.searched = max(f.searched, len(window)-len(blankLine)+1)
	if len(window) == limit.header {
		return headerTooLarge
	}
	return incomplete
}

// expectBody notes the body length that the header announced.
func (f *frame) expectBody(length int, limit limits) verdict {
	if length > limit.body {
		return bodyTooLarge
	}
	f.length, f.searched = length, f.header
	return complete
}

// findEnd looks for the end of the message, after findHeader and expectBody.
func (f *frame) findEnd(in []byte, limit limits) verdict {
	if f.length == chunked {
		return f.walkChunks(in, limit)
	}
	f.end = f.header + max(f.length, 0)
	if len(in) < f.end {
		return incomplete
	}
	return complete
}

// walkChunks hops from chunk to chunk without looking at the data.
func (f *frame) walkChunks(in []byte, limit limits) verdict {
	for {
		size, line, v := chunkSize(in[f.searched:])
		if v != complete {
			return v
		}
		excess := f.excess + max(0, line-chunkLineUsual-2*size)
		if excess > excessMax {
			return badRequest
		}
		if size == 0 {
			return f.findTrailerEnd(in, f.searched+line, limit)
		}
		if f.data+size > limit.body {
			return bodyTooLarge
		}
		f.announced = f.data + size
		end := f.searched + line + size
		if len(in) < end+len(lineEnd) {
			return incomplete
		}
		if !bytes.HasPrefix(in[end:], lineEnd) {
			return badRequest
		}
		f.searched, f.data, f.excess = end+len(lineEnd), f.data+size, excess
		// Chunks of one byte each would make us keep six times what counts.
		if framing := f.searched - f.header - f.data; framing > limit.framing() {
			return bodyTooLarge
		}
	}
}

// findTrailerEnd looks for the blank line after the trailer fields, which begin
// where the line of the last chunk ends. Once complete, searched is there.
func (f *frame) findTrailerEnd(in []byte, begin int, limit limits) verdict {
	window := in[begin:min(len(in), begin+limit.trailer())]
	if bytes.HasPrefix(window, lineEnd) {
		f.searched, f.end = begin, begin+len(lineEnd)
		return complete
	}
	if i := bytes.Index(window, blankLine); i >= 0 {
		f.searched, f.end = begin, begin+i+len(blankLine)
		return complete
	}
	if len(window) == limit.trailer() {
		return headerTooLarge
	}
	return incomplete
}

// trailer bounds the trailer fields of a chunked body.
func (limit limits) trailer() int { return min(limit.header, trailerMax) }

// framing bounds what a chunked body may take beside its data.
func (limit limits) framing() int { return limit.body + limit.header }

// message is the length that no message reaches which is still incomplete:
// header, data, framing, the line and the end of one more chunk, trailer.
func (limit limits) message() int {
	return limit.header + limit.body + limit.framing() + chunkLineMax + 2*len(lineEnd) + limit.trailer()
}

// chunkSize reads the line that announces a chunk and returns the chunk's size
// and the length of the line with its end.
func chunkSize(in []byte) (size, line int, v verdict) {
	window := in[:min(len(in), chunkLineMax)]
	n := bytes.Index(window, lineEnd)
	if n < 0 && len(window) == chunkLineMax {
		return 0, 0, badRequest
	}
	if n < 0 {
		return 0, 0, incomplete
	}
	digits := window[:n]
	if i := bytes.IndexAny(digits, "; \t"); i >= 0 {
		digits = digits[:i]
	}
	announced, err := strconv.ParseUint(string(digits), 16, 31)
	if err != nil {
		return 0, 0, badRequest
	}
	return int(announced), n + len(lineEnd), complete
}
