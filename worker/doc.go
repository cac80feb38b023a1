// Package worker is the life of a built-in worker: a process that a master
// started, that serves one of the built-in apps on the master's listening
// sockets, and that leaves without losing a request.
//
// # A life
//
//	inherit ── hello ──► starting ── welcome, ready ──► standby ── serve ──► serving
//	                        │                              │                    │
//	                        │ drain, signal                │ drain, signal      │ drain, signal,
//	                        ▼                              ▼                    │ too long an orphan
//	                     exit 0 ◄──────────────────── draining ◄────────────────┘
//	                             last connection gone
//
// starting: the worker has said hello and knows nothing about itself yet.
// standby: it could accept and does not. Its loop turns and its heart beats, but
// its listening sockets are not in the loop, so the kernel wakes it for no
// connection. serving: they are, and the master has been told so; from then on it
// may send those of siblings to watch beside them. draining: all are out again, what
// waited in them is accepted, the master has been told so, and requests in flight
// finish.
//
// What serves is an engine, and a life does not know which: the reactor runs the
// apps hello and echo on its loop, goroutines runs hello and static by net/http.
//
// A worker obeys its master's messages and these signals: SIGTERM, SIGQUIT and
// SIGINT start a drain, after telling the master; SIGHUP, SIGUSR1, SIGUSR2,
// SIGWINCH and SIGPIPE are ignored, because they are meant for a master and
// reach a whole process group. SIGABRT ends it with the stacks of all goroutines.
//
// A master that dies, or that says what makes no sense, is dropped. A serving
// worker then serves on as an orphan until its orphan timeout, and drains; it goes
// on helping the siblings that it watches. A worker that has not served yet is of no
// use to anybody and exits with 1. One whose own listening socket somebody has shut
// down leaves, if there is a master to replace it.
//
// # Promises
//
//   - Nothing is accepted before Serve, and everything that the worker has
//     accepted, or that the kernel woke it for, is served before it exits, as
//     far as the deadline of the drain allows.
//   - Exit code 0 is an orderly end. Any other is one line on stderr and 1.
//   - After Left it holds no copy of a listening socket, its own or a sibling's, so
//     the master's closing of one is final. The same is true of a sibling's sockets
//     when it has answered a Watch that lets go of them.
//   - A sibling's sockets that cannot be watched cost a line, never the worker.
//
// # Not promised
//
// It does not judge the master's decisions, keeps no state beyond its life, and
// on the reactor does not survive a handler that never returns: the master sees
// the heart stop. On goroutines the heart is that of the accept loop.
//
// # Goroutines
//
// Main's own decides everything. It starts two, and waits for both at its end:
// one receives the master's messages, the other runs the engine, which may start
// more.
package worker
