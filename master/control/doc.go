// Package control is how operators talk to a running master: HTTP/1.1 with JSON
// over a Unix socket, so that the prefork command and curl --unix-socket are
// equals.
//
//	prefork reload ─► Client ─┐                             ┌─► Backend.Status
//	                          ├─ NAME.sock ─► Server ─ route┼─► Backend.Do
//	curl --unix-socket ───────┘               │             └─► Backend.Subscribe
//	                                          │                       ▲
//	        NAME.lock: one master only        └ events ◄─ Hub ◄─ Publish (the master)
//
// It promises
//   - that only the master's own uid and root are heard: the socket has mode 0600
//     from its first moment, its folder belongs to nobody else, and the kernel
//     tells the uid of each peer;
//   - that no client can hold the master up: connections, requests at once,
//     bytes and times are bounded, and Hub.Publish never blocks; a follower of
//     the events that does not keep up is told so and dropped;
//   - that every request which is HTTP gets a JSON answer, an error too; bytes
//     that are not HTTP get net/http's plain 400 or 431;
//   - that the socket of a dead master is replaced, and that of a living one
//     never: only the holder of the lock binds, and it asks the socket first.
//
// It does not decide anything: what a command means, and whether it is possible
// now, is the Backend's. It keeps no connection alive: one request, one answer.
//
// # Life of a request
//
//	accepted ─► header ─► peer ─► route ─► body ─► turn ─► Backend ─► answer
//	256 at once   5 s     403    404 405  5 s 413  64 at once
//	               431                             1 s, then 503
//
// # Goroutines
//
// A Server owns one goroutine that accepts and, through net/http, two for each
// connection; Shutdown ends them and waits. A Hub and a Client own none.
package control
