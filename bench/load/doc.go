// Package load is an open-loop load generator for HTTP over loopback TCP.
//
// # What it promises
//
// Requests are due at moments that are fixed before the first one is sent:
// request i at start + i/Rate. A slow server does not slow the schedule, and
// latency counts from the moment a request was due, so that a stall shows in
// every request it delayed and not only in the one that met it.
//
// A request is sent once. There is no retry, neither here nor in a library
// below, because "no request is lost" can only be seen by a client that does
// not paper over the loss.
//
// Nothing is hidden. These two hold for every [Report]:
//
//	Scheduled = Sent + Unsent
//	Sent      = Answered + the sum of Failed
//
// What the generator itself could not send (no free connection, no port, no
// file descriptor) is Unsent; what it sent later than it should is Late.
//
// # What it does not
//
// A closed loop (Config.Closed) is the exception to the first promise, for
// questions about capacity and cost: there a request is due when a client is free.
//
// It speaks GET without a body, it does not pipeline, and it refuses every
// address but a loopback one: it must never load somebody else's machine.
//
// # How it works
//
// One goroutine, bound to a thread, runs an event loop over edge-triggered
// epoll. A goroutine for each request would cost three times the CPU, which the
// server on the same machine then lacks, and its wake-ups would stand in the
// latencies.
//
//	schedule ──due──► waiting ──a connection is free──► asking ──► answered
//	                     │                                │   └──► failed
//	                     └──timeout──► unsent             └─timeout┘
//
// Requests become due, and time out, in the order of their numbers. So the
// waiting ones are a range of numbers and the next timeout is that of the
// oldest one: the loop needs no queue and no timers.
//
// # Closing, ports and TIME_WAIT
//
// In mode NewConnection the request says "Connection: close", and after the
// answer the client waits for the server to close first. Then TIME_WAIT stands
// at the server's port, where it hinders nobody: a new SYN with a later
// timestamp takes its place. The client's port is free at once. A client that
// closed first would bind a port for a minute, and one that closed by SO_LINGER
// 0 would show the server resets that no real client sends; so neither is done.
// Clients spread over several addresses of 127.0.0.0/8 (each has ports of its
// own) so that also a server that never closes, or hangs, exhausts no ports.
package load
