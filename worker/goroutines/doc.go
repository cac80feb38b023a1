// Package goroutines is the engine for any net/http handler: it accepts as the
// reactor does, and serves each connection by net/http, on a goroutine of its
// own.
//
//	reactor.Loop: wait, accept, pause, beat, drain
//	   │ Take
//	   ▼
//	intake, a net.Listener ─► http.Server ─► one goroutine for each conn
//	        Accept turns the loop                │
//	        until a connection is there          ▼
//	                             limits, identity, panics ─► Handler
//
// It accepts no faster than it reads: see awaitReaders.
//
// There is one accept loop: Accept waits in the loop's own poller, with nothing
// in between. So a heart beats as long as connections are accepted, and whatever
// the loop learns about listening sockets (whose they are, how their queues are
// emptied) holds here too.
//
// # A connection's life, as net/http and conn share it
//
//	accept ─► header ─► busy ─► idle ─► (part, linger) ─► closed
//	             ▲                │ └──► given: another worker's
//	             └────────────────┘
//
// net/http's own Shutdown is not used: it closes connections in the middle of a
// request's header, and so does SetKeepAlivesEnabled. Only conn can tell a
// connection that rests from one whose next request has begun, since it sees how
// much net/http has read ahead.
//
// # Hand-over
//
// A connection can go on in another worker (see reactor.Loop.Give) when it rests: net/http
// waits in conn's Read for the first byte of a request, and its buffer is empty, so that
// the last bytes that it was given have ended a message. Such a Read is interrupted by a
// deadline and ends with EOF, after which net/http leaves the connection without a word;
// its descriptor is a copy by then, with the loop:
//
//	   Give, drain            Read                     loop
//	epoch ─► interruptRest ─► shallGo ─► give ─► detach ─► Offer ─► heir
//	                             ▲                           │
//	                             └── epoch ◄── takeOver ◄────┘ nobody takes it
//
// In an epoch each connection is offered once. One begins when there are heirs that take,
// and again a little after something came back. What does not rest is served on, and
// offered when it does.
//
// A connection that is taken over is a new one for net/http, which waits for a first
// request; conn lets it rest for IdleTimeout before that. What the other worker had read
// of a request is read first.
//
// With TLS nothing is given or taken: see Engine.Give.
//
// # TLS
//
// With TLS a conn stands above it: its bytes come from a tls.Conn, which has a wire,
// the socket, below. So all that is said here about HTTP/1 holds with TLS, too. HTTP/2
// is spoken by net/http's own inside of a conn's first Read, on the same goroutine:
//
//	accept ─► handshake ─► header ─► …             HTTP/1
//	              └──────► streams ─► closed       HTTP/2
//
// # Promises
//
//   - A drain ends no connection between the first and the last byte of a request
//     before its deadline: half-read requests are answered, and so are those that
//     arrive with the drain. Idle connections go to heirs, or else close without a
//     reset. A client in the middle of its handshake gets its first request answered.
//     HTTP/2 says GOAWAY.
//   - While a drain ends connections, every answer says that it is the connection's last
//     (Connection: close), if its header had not been sent before. Where heirs take them
//     it does not, and the client sees nothing.
//   - No byte that net/http has read ahead is lost by a hand-over, and a request is
//     answered once: by who has its first byte.
//   - What a handler has hijacked lives until the drain's deadline.
//   - A request's header is bounded to the byte (431), its body too (413); time is
//     bounded for both, for the wait between requests, and for a client that does
//     not read.
//   - A handler's panic costs its connection and one report, nothing else.
//   - Beat is called at least once a second, as long as the accept loop turns.
//   - When Run has returned, every connection is closed, and no hook is called any
//     more. The listening sockets belong to the caller.
//
// # Not promised
//
// It cannot end a handler that never returns: after a drain's deadline such a
// goroutine outlives Run, without its connection. It does not see that a handler
// hangs, because others are served meanwhile; the beat tells about the accept loop
// and the process. Answers that net/http gives by itself, to what is no HTTP request
// (400, 501, 505), carry no identity and are not counted. The limit for headers of
// pipelined requests is exact to 4 KiB only. The limit for headers of HTTP/2 is
// net/http's own, and so is its answer to a longer one. With TLS a request on a connection that rests begins, for the header
// timeout, when its first record is whole.
// http.CloseNotifier, deprecated since Go 1.11, is not offered to handlers.
//
// # Goroutines
//
// Run occupies the goroutine that calls it. net/http starts one for each
// connection, and one more while a handler runs; they end with the connection.
package goroutines
