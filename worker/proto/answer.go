package proto

import (
	"fmt"

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
	if !h.ctx.Request.MayContinue() {
		return out
	}
	return append(out, continueAnswer...)
}

// answer has the application answer the request in ctx. more says that input
// follows this request: while draining, the connection then stays open for
// what the client has already sent, and closes with the last of it.
func (h *HTTP) answer(out []byte, more bool) ([]byte, reactor.Phase) {
	request, response := &h.ctx.Request, &h.ctx.Response
	last := request.Header.ConnectionClose() // BEFORE the application can change it
	response.Reset()
	h.config.App(&h.ctx)

	response.SkipBody = response.SkipBody || request.Header.IsHead()
	last = last || response.Header.ConnectionClose() || !more && h.config.Draining()
	if !last && !request.Header.IsHTTP11() {
		response.Header.Set(fasthttp.HeaderConnection, "keep-alive") // not the default of HTTP/1.0
	}
	return h.appendAnswer(out, last)
}

// refuse answers a message that is no request, or one beyond the limits. The
// connection ends with it: where the next message begins is anybody's guess.
func (h *HTTP) refuse(out []byte, v verdict) []byte {
	response := &h.ctx.Response
	response.Reset()
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
	out, _ = h.appendAnswer(out, true)
	return out
}

// appendAnswer serialises the response in ctx. last closes the connection after it,
// and so does a body that turns out unreadable half-way.
func (h *HTTP) appendAnswer(out []byte, last bool) ([]byte, reactor.Phase) {
	response := &h.ctx.Response
	if last {
		response.SetConnectionClose()
	}
	if h.config.Identity != "" {
		response.Header.Set(workerHeader, h.config.Identity)
	}
	h.config.Answered()

	h.sink.data = out
	h.writer.Reset(&h.sink)
	err := response.Write(h.writer)
	if err == nil {
		err = h.writer.Flush()
	}
	out, h.sink.data = h.sink.data, nil
	if last || err != nil {
		return out, reactor.Close
	}
	return out, reactor.Idle
}

// sink is an io.Writer that appends.
type sink struct{ data []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.data = append(s.data, p...)
	return len(p), nil
}
