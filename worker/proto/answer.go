package proto

import (
	"bufio"
	"errors"
	"fmt"
	"math"

	"github.com/valyala/fasthttp"

	"prefork/worker/reactor"
)

// workerHeader names the worker that answered, see HTTPConfig.Identity.
const workerHeader = "Prefork-Worker"

const continueAnswer = "HTTP/1.1 100 Continue\r\n\r\n"

// appendContinue tells a client that waits for it to send the body. It is
// sent even if the body is there already, so that the answers do not depend on
// how the request was cut.
func (h *HTTP) appendContinue(out []byte) []byte {
	if !h.exchange.ctx.Request.MayContinue() {
		return out
	}
	return append(out, continueAnswer...)
}

// manner is how an answer is to be sent. It is noted BEFORE the application can change
// the request.
type manner struct {
	last   bool // the connection ends with it
	head   bool // its body is left out
	http11 bool
}

// mannerOf: more says that input follows this request; while draining, the connection
// then stays open for what the client has already sent, and closes with the last of
// it. On the loop only.
func (h *HTTP) mannerOf(header *fasthttp.RequestHeader, more bool) manner {
	return manner{
		last:   header.ConnectionClose() || !more && h.config.Draining(),
		head:   header.IsHead(),
		http11: header.IsHTTP11(),
	}
}

// answer has the application answer the request at hand.
func (h *HTTP) answer(out []byte, more bool) ([]byte, reactor.Phase) {
	e := h.exchange
	h.exchange = nil // a panic leaves it to whoever may still use it
	e.begin()
	m := h.mannerOf(&e.ctx.Request.Header, more)
	if place := h.place(e); place != OnLoop {
		h.config.Send(&Job{http: h, exchange: e, manner: m}, place)
		return out, reactor.Away
	}
	e = h.run(e)
	if e.ctx.Response.IsBodyStream() && h.config.Send != nil {
		h.config.Send(&Job{http: h, exchange: e, manner: m, answered: true}, OnGoroutine)
		return out, reactor.Away
	}
	out, next := h.appendAnswer(&h.printer, &e.ctx.Response, out, m)
	e.end()
	h.exchange = e
	return out, next
}

// run calls the application and returns the exchange that has the answer.
func (h *HTTP) run(e *exchange) *exchange {
	h.config.App(&e.ctx)
	if e.ctx.Hijacked() {
		panic(errHijacked)
	}
	timedOut := e.ctx.LastTimeoutErrorResponse()
	if timedOut == nil {
		return e
	}
	// Somebody still works on the request, who keeps the exchange.
	fresh := newExchange(h.config.Addresses)
	timedOut.CopyTo(&fresh.ctx.Response)
	return fresh
}

// refuse answers a message that is no request, or one beyond the limits. The
// connection ends with it: where the next message begins is anybody's guess.
func (h *HTTP) refuse(p *printer, e *exchange, out []byte, v verdict) []byte {
	response := &e.ctx.Response
	response.Reset()
	response.SetStatusCode(int(v))
	switch v {
	case headerTooLarge:
		response.SetBodyString(fmt.Sprintf("request header too large: the limit is %d bytes\n", h.limits.header))
	case bodyTooLarge:
		response.SetBodyString(fmt.Sprintf("request body too large: the limit is %d bytes\n", h.limits.body))
	case expectationFailed:
		response.SetBodyString("expectation failed: 100-continue is the only one that can be met\n")
	case notNow:
		response.SetBodyString("not now: the server is short of something, try again\n")
	default:
		response.SetBodyString("bad request: this is not a well-formed HTTP/1 request\n")
	}
	out, _ = h.appendAnswer(p, response, out, manner{last: true, http11: true})
	e.end()
	return out
}

// appendAnswer serialises a response. A body that turns out unreadable half-way closes
// the connection. One that is a stream is read to its end, or given up with the
// connection if that is too far away.
func (h *HTTP) appendAnswer(p *printer, response *fasthttp.Response, out []byte, m manner) ([]byte, reactor.Phase) {
	last := h.complete(response, m)
	room := math.MaxInt
	if response.IsBodyStream() {
		room = h.limits.stream
	}
	out, err := p.append(response, out, room)
	if errors.Is(err, errNoRoom) {
		panic(fmt.Errorf("the stream of an answer is longer than %d bytes, and the loop sends an answer when it is whole", h.limits.stream))
	}
	if last || err != nil {
		return out, reactor.Close
	}
	return out, reactor.Idle
}

// complete adds to a response what the application need not know about, and counts
// it. It returns whether the connection ends with it.
func (h *HTTP) complete(response *fasthttp.Response, m manner) (last bool) {
	response.SkipBody = response.SkipBody || m.head
	last = m.last || response.Header.ConnectionClose()
	switch {
	case last:
		response.SetConnectionClose()
	case !m.http11:
		response.Header.Set(fasthttp.HeaderConnection, "keep-alive") // not the default of HTTP/1.0
	}
	if h.config.Identity != "" {
		response.Header.Set(workerHeader, h.config.Identity)
	}
	h.config.Answered()
	return last
}

var errNoRoom = errors.New("no room left")

// printer serialises responses. The loop has one, and so has each job. What is common
// needs nothing of it.
type printer struct {
	to     sink
	writer *bufio.Writer // over to; nil: it was not needed yet
}

// append fails with errNoRoom when the response is longer than room, in bytes.
func (p *printer) append(response *fasthttp.Response, out []byte, room int) ([]byte, error) {
	if !response.IsBodyStream() && len(response.Header.PeekTrailerKeys()) == 0 {
		return appendWhole(response, out), nil
	}
	p.to = sink{data: out, room: room}
	if p.writer == nil {
		p.writer = bufio.NewWriter(&p.to)
	}
	p.writer.Reset(&p.to)
	err := response.Write(p.writer)
	if err == nil {
		err = p.writer.Flush()
	}
	out, p.to = p.to.data, sink{}
	return out, err
}

// appendWhole is Response.Write for a response whose body is there and has no trailer,
// without a writer between.
func appendWhole(response *fasthttp.Response, out []byte) []byte {
	body, bodiless := response.Body(), response.SkipBody || IsBodiless(response.StatusCode())
	if !bodiless || len(body) > 0 {
		response.Header.SetContentLength(len(body)) // of the body that HEAD leaves out, too
	}
	out = append(out, response.Header.Header()...)
	if bodiless {
		return out
	}
	return append(out, body...)
}

// IsBodiless tells the answers that have no body (RFC 9110, section 6.4.1).
func IsBodiless(status int) bool {
	return status < fasthttp.StatusOK || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified
}

// sink is an io.Writer that appends.
type sink struct {
	data []byte
	room int // bytes that may still come
}

func (s *sink) Write(p []byte) (int, error) {
	if s.room -= len(p); s.room < 0 {
		return 0, errNoRoom
	}
	s.data = append(s.data, p...)
	return len(p), nil
}
