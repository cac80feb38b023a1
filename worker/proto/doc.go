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
// It promises that the answers do not depend on how the network cut the
// requests; that a message is bounded in size; that a connection between two
// requests holds no buffer. It does not promise streaming: a request is seen
// whole by the application, and so is the answer.
//
// It has no I/O and no clock of its own and owns no goroutine, but fasthttp
// starts one with the first answer, which renews the Date header every second
// as long as the process lives.
package proto
