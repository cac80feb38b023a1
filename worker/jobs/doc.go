// Package jobs answers HTTP requests away from the event loop that has received them,
// on goroutines, with their connections. There they may wait.
//
//	loop ── proto: a request for elsewhere ──► job ── answer, or the rest of the input ──► loop
//	                                            │
//	                                            └─ the connection itself: long bodies, long answers
//
// A job is what proto.HTTPConfig.Place says, a request with a long body, and an answer
// whose body is a stream. With Config.Handler it is every request: net/http's handlers
// then run unchanged, one goroutine for each request, and a connection between two
// requests costs what it costs on the loop.
//
// # Promises
//
//   - Requests of one connection are answered one after the other.
//   - The application gets a body to a good end only when net/http would have: what is
//     not well-formed, too long or cut off is refused, or has no answer at all, in place
//     of what the application has said, unless that has begun to go out.
//   - A short answer is held, up to 64 KiB, and goes out with its length. A longer one
//     goes to the client as it comes, a file by sendfile(2).
//   - A body that comes too slowly and a client that takes nothing end their own
//     connection.
//
// # Not promised
//
// Hijacking, trailers, server push, 1xx answers of a Handler: http.ResponseController
// gets http.ErrNotSupported. Deadlines of a Handler's own. The context of a request is
// not cancelled when its client goes away: nobody reads from it meanwhile.
//
// It owns no goroutine; its jobs run on those of reactor.Loop.Lend and Compute.
package jobs
