// Package proto holds the protocols that a worker speaks: handlers for the
// reactor that know bytes and no descriptors.
//
// [HTTP] serves any fasthttp.RequestHandler, [Echo] sends back what it gets.
// Hello is the built-in application.
//
// How a request goes through HTTP, whatever pieces it arrives in:
//
//	bytes ─► frame: where does the message end? ─► fasthttp parses it whole ─► app ─► answer
//	               │ not yet: Header or Body          │ refuses: 400, Close
//	               │ too long: 431, 413, Close        │
//
// The frame only looks for the end of a message: the blank line after the
// header, the announced length, the last chunk. What the bytes mean is decided
// by fasthttp alone, and when the two disagree about where a message ends the
// answer is 400 and the connection closes: such disagreements are what request
// smuggling is made of. For the same reason strict.go refuses what others on the
// way may read differently. The measure is net/http's server: what it refuses, we
// refuse; what both accept, both understand alike. testdata/conformance has the
// cases and the list of those where we are stricter, and FuzzAgainstNetHTTP looks
// for more.
//
// # Applications
//
// An application is a fasthttp.RequestHandler: a router, a middleware, an
// http.Handler through fasthttpadaptor. It runs on the loop and must not block.
// One RequestCtx serves all requests of a loop, so it ends with the handler.
//
// What would keep the loop is a [Job], where there is somebody who does them
// (HTTPConfig.Send; package jobs): it runs on a goroutine, has a RequestCtx of its own,
// and the loop serves others meanwhile. A job is what HTTPConfig.Place says, a request
// with a body of more than 64 KiB, and an answer whose body is a stream, which goes out
// as it comes. So an application that takes long bodies must be ready to run on several
// goroutines at once.
//
//	works                      the request with its whole body, the response, user values (closed
//	                           at the end), Time, Logger (to stderr), Redirect, SendFile, forms,
//	                           cookies, compression, and all that is made of these
//	works if the loop says     RemoteAddr, LocalAddr: see HTTPConfig.Addresses; else 0.0.0.0:0
//	which connection it is
//	a panic                    costs the connection and one line to the operator, see reactor.PanicError
//	SetBodyStream, -Writer,    sent as they come, by a job. Without HTTPConfig.Send: read to the end, on
//	http.Flusher               the loop, BEFORE a byte goes out; beyond 64 MiB as a panic
//	Hijack, http.Hijacker      as a panic, without an answer. http.ErrAbortHandler looks the same
//	TimeoutError,              answers, and the late goroutine may keep its RequestCtx, but for the
//	TimeoutHandler             addresses. Until then the loop waits, as for any handler
//	ConnTime, ConnID, ID       those of the request; ConnRequestNum is 0
//	Conn, SetReadDeadline,     an error: the connection belongs to the loop
//	SetWriteDeadline, EarlyHints
//	Done, Err                  never: a drain lets a request finish
//	IsTLS                      false
//
// # Promises
//
// The answers do not depend on how the network cut the requests; a message is
// bounded in size; a connection between two requests holds no buffer; a request
// costs no allocation of ours.
//
// # Goroutines
//
// It has no I/O and no clock of its own and owns no goroutine, but fasthttp
// starts one with the first answer, which renews the Date header every second
// as long as the process lives: only its own server can do without.
package proto
