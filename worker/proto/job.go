package proto

import (
	"bufio"
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

// place says where a request is answered that is there as a whole.
func (h *HTTP) place(e *exchange) Place {
	switch {
	case h.config.Handler != nil:
		return OnGoroutine
	case h.config.Place == nil:
		return OnLoop
	}
	place := h.config.Place(&e.ctx)
	if place == OnPool && h.config.Compute == nil || place == OnGoroutine && h.config.Lend == nil {
		return OnLoop
	}
	return place
}

func (h *HTTP) send(j *job, to Place) {
	if to == OnPool {
		h.config.Compute(j.run)
		return
	}
	h.config.Lend(j.run)
}

// job is a request that is answered away from the loop. What can only be known on the
// loop was noted before; of HTTP it uses what does not change.
type job struct {
	http     *HTTP
	exchange *exchange
	manner   manner
	answered bool      // only the answer is to be sent
	body     *bodyPlan // how the request's body is to be read; nil: it is there
	lent     *reactor.Lent
}

// newBodyJob makes a job of a message whose header is there, and whose body is too
// long for the loop.
func (h *HTTP) newBodyJob(f *frame, in []byte) *job {
	if v := h.readHeader(in[:f.header]); v != complete { // another connection's may be in its place
		panic(errHeaderChanged) // it was read before
	}
	e := h.exchange
	h.exchange = nil
	e.begin()
	return &job{
		http: h, exchange: e,
		manner: h.mannerOf(&e.ctx.Request.Header, false),
		body:   &bodyPlan{length: f.length, limits: h.limits},
	}
}

// isLong says that the body of an incomplete message is for a job: it is announced to
// be long, or what is there of it is.
func (h *HTTP) isLong(f *frame, in []byte) bool {
	return h.config.Lend != nil && f.header > 0 && max(f.length, f.announced, len(in)-f.header) > h.limits.whole
}

// run implements reactor.Errand.
func (j *job) run(lent *reactor.Lent) reactor.Result {
	j.lent = lent
	j.exchange.peer.addresses = j.addresses
	if j.body == nil {
		answer, next := j.answer()
		return reactor.Result{Answer: answer, Rest: lent.Unread(), Next: next}
	}
	body, err := j.body.open(lent, j.http.config.BodyTimeout)
	if err != nil {
		return reactor.Result{Next: reactor.Close}
	}
	j.exchange.ctx.Request.SetBodyStream(body, j.body.length)
	answer, next := j.answer()
	switch v := body.finish(); v {
	case complete:
	case incomplete: // cut off or too slow: nobody waits for an answer
		answer, next = nil, reactor.Close
	case bodyNotWanted:
		next = reactor.Close
	default:
		answer, next = j.http.refuse(newPrinter(), newExchange(nil), nil, v), reactor.Close
	}
	return reactor.Result{Answer: answer, Rest: body.rest(), Next: next}
}

// answer returns the answer, or sends it if it is a stream.
func (j *job) answer() ([]byte, reactor.Phase) {
	if j.http.config.Handler != nil {
		return j.handle()
	}
	e := j.exchange
	if !j.answered {
		e = j.http.run(e)
	}
	response := &e.ctx.Response
	if !response.IsBodyStream() {
		answer, next := j.http.appendAnswer(newPrinter(), response, nil, j.manner)
		e.end()
		return answer, next
	}
	last := j.http.complete(response, j.manner)
	err := j.stream(response)
	e.end()
	if last || err != nil {
		return nil, reactor.Close
	}
	return nil, reactor.Idle
}

// stream sends a response while its body is still being made.
func (j *job) stream(response *fasthttp.Response) error {
	client, err := j.client()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(client)
	if err := response.Write(w); err != nil {
		return err
	}
	return w.Flush()
}

func (j *job) client() (*client, error) {
	conn, err := j.lent.Conn()
	if err != nil {
		return nil, err
	}
	return &client{Conn: conn, timeout: j.http.config.WriteTimeout}, nil
}

func (j *job) addresses() (local, remote net.Addr) {
	conn, err := j.lent.Conn()
	if err != nil {
		return nil, nil
	}
	return conn.LocalAddr(), conn.RemoteAddr()
}
