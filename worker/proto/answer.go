package proto

import (
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

// answer has the application answer the request that came on the connection fd.
// more says that input follows this request: while draining, the connection then
// stays open for what the client has already sent, and closes with the last of it.
func (h *HTTP) answer(fd int, out []byte, more bool) ([]byte, reactor.Phase) {
	e := h.exchange
	h.exchange = nil // a panic leaves it to whoever may still use it
	e.begin(fd)
	header := &e.ctx.Request.Header
	last, head, http11 := header.ConnectionClose(), header.IsHead(), header.IsHTTP11() // BEFORE the application can change it

	e = h.run(e)
	response := &e.ctx.Response
	response.SkipBody = response.SkipBody || head
	last = last || response.Header.ConnectionClose() || !more && h.config.Draining()
	if !last && !http11 {
		response.Header.Set(fasthttp.HeaderConnection, "keep-alive") // not the default of HTTP/1.0
	}
	out, next := h.appendAnswer(response, out, last)
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
func (h *HTTP) refuse(out []byte, v verdict) []byte {
	e := h.exchange
	response := &e.ctx.Response
	response.SetStatusCode(int(v))
	switch v {
	case headerTooLarge:
		response.SetBodyString(fmt.Sprintf("request header too large: the limit is %d bytes\n", h.limits.header))
	case bodyTooLarge:
		response.SetBodyString(fmt.Sprintf("request body too large: the limit is %d bytes\n", h.limits.body))
	case expectationFailed:
		response.SetBodyString("expectation failed: 100-continue is the only one that can be met\n")
	default:
		response.SetBodyString("bad request: this is not a well-formed HTTP/1 request\n")
	}
	out, _ = h.appendAnswer(response, out, true)
	e.end()
	return out
}

// appendAnswer serialises a response. last closes the connection after it, and so
// does a body that turns out unreadable half-way. A body that is a stream is read
// to its end, or given up with the connection if that is too far away.
func (h *HTTP) appendAnswer(response *fasthttp.Response, out []byte, last bool) ([]byte, reactor.Phase) {
	if last {
		response.SetConnectionClose()
	}
	if h.config.Identity != "" {
		response.Header.Set(workerHeader, h.config.Identity)
	}
	h.config.Answered()

	h.sink = sink{data: out, room: math.MaxInt}
	if response.IsBodyStream() {
		h.sink.room = h.limits.stream
	}
	h.writer.Reset(&h.sink)
	err := response.Write(h.writer)
	if err == nil {
		err = h.writer.Flush()
	}
	out, h.sink = h.sink.data, sink{}
	if errors.Is(err, errNoRoom) {
		panic(fmt.Errorf("the stream of an answer is longer than %d bytes, and the loop sends an answer when it is whole", h.limits.stream))
	}
	if last || err != nil {
		return out, reactor.Close
	}
	return out, reactor.Idle
}

var errNoRoom = errors.New("no room left")

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
