package proto

import (
	"errors"
	"net"

	"github.com/valyala/fasthttp"

	"prefork/worker/reactor"
)

// Place is where a request is answered.
type Place uint8

const (
	// OnLoop: at once. No other connection is served meanwhile.
	OnLoop Place = iota
	// OnPool: on one of a few goroutines, for what occupies a CPU for long.
	OnPool
	// OnGoroutine: on a goroutine of its own, for what waits for something else.
	OnGoroutine
)

var errHeaderChanged = errors.New("a header that was well-formed is not any more")

// Job is a request that is answered away from the loop: what can only be known there
// was noted. It belongs to whom it was sent to (HTTPConfig.Send), who calls its methods
// one after the other.
type Job struct {
	// Body is the body that has not been read yet; nil: the request is there as a whole.
	Body *Body

	http     *HTTP
	exchange *exchange
	manner   manner
	answered bool // only the answer is to be sent
}

// Body says how a body is to be read that begins where the handler has stopped.
type Body struct {
	Length     int // bytes, or Chunked
	Max        int // bytes that Chunked may come to
	MaxTrailer int // bytes of the fields behind it
}

// Chunked is the length of a body in chunks, in fasthttp's notation.
const Chunked = chunked

// place says where a request is answered that is there as a whole.
func (h *HTTP) place(e *exchange) Place {
	if h.config.Place == nil || h.config.Send == nil {
		return OnLoop
	}
	return h.config.Place(&e.ctx)
}

// newBodyJob makes a job of a message whose header is there, and whose body is too
// long for the loop.
func (h *HTTP) newBodyJob(f *frame, in []byte) *Job {
	if v := h.readHeader(in[:f.header]); v != complete { // another connection's may be in its place
		panic(errHeaderChanged)
	}
	e := h.exchange
	h.exchange = nil
	e.begin()
	return &Job{
		http: h, exchange: e,
		manner: h.mannerOf(&e.ctx.Request.Header, false),
		Body:   &Body{Length: f.length, Max: h.limits.body, MaxTrailer: h.limits.trailer()},
	}
}

// isLong says that the body of an incomplete message is for a job: it is announced to
// be long, or what is there of it is.
func (h *HTTP) isLong(f *frame, in []byte) bool {
	return h.config.Send != nil && f.header > 0 && max(f.length, f.announced, len(in)-f.header) > h.limits.whole
}

// Ctx is the request and its answer. A body that is read as it comes is put into the
// request by SetBodyStream.
func (j *Job) Ctx() *fasthttp.RequestCtx { return &j.exchange.ctx }

// SetAddresses says where the application gets the ends of the connection from: the
// loop may be asked on the loop only.
func (j *Job) SetAddresses(addresses func() (local, remote net.Addr)) {
	j.exchange.peer.addresses = addresses
}

// Run has HTTPConfig.App answer, if it has not done so on the loop.
func (j *Job) Run() {
	if !j.answered {
		j.exchange = j.http.run(j.exchange)
	}
}

// IsHead says that the answer goes out without its body.
func (j *Job) IsHead() bool { return j.manner.head }

// IsHTTP11 says that the client understands chunks.
func (j *Job) IsHTTP11() bool { return j.manner.http11 }

// EndConnection has the connection end with the answer.
func (j *Job) EndConnection() { j.manner.last = true }

// Complete adds to the answer what the application need not know about, and counts it,
// BEFORE somebody else than Print sends it. It returns whether the connection ends with
// it.
func (j *Job) Complete() (last bool) { return j.http.complete(&j.exchange.ctx.Response, j.manner) }

// Print returns the answer as it is sent, and whether the connection goes on after it
// (reactor.Idle or reactor.Close).
func (j *Job) Print() ([]byte, reactor.Phase) {
	return j.http.appendAnswer(new(printer), &j.exchange.ctx.Response, nil, j.manner)
}

// Refuse returns the answer to a request that turned out to be none, or to be beyond
// the limits. The connection ends with it.
func (j *Job) Refuse(status int) []byte {
	return j.http.refuse(new(printer), newExchange(nil), nil, verdict(status))
}

// End closes what the application has left in the request and its answer.
func (j *Job) End() { j.exchange.end() }

// IsTrailer tells whether lines, with their ends and the blank one, may stand behind
// the last chunk: well-formed fields, and none that would say where a body ends.
func IsTrailer(lines []byte) bool {
	found, ok := readFields(lines)
	return ok && found == (fields{})
}
