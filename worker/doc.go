// Package worker makes a Go program a worker of prefork: a process that a master
// started, that serves on the master's listening sockets, and that leaves without
// losing a request.
//
//	func main() {
//		worker.Main(func(w *worker.Worker) error { return w.ServeHTTP(mux) })
//	}
//
// [Main] is called with a function that prepares what the program needs (it reads
// its files, connects to its database, fills its caches) and then calls
// [Worker.ServeHTTP], [Worker.ServeFastHTTP] or [Worker.Serve]. Until that call the
// worker counts for nothing; afterwards it is ready, and serves when its whole
// generation is. The call returns when the worker has left in good order. What the
// function then does (it writes down what it has gathered) is part of the drain,
// within drain-timeout.
//
// An error that the function returns ends the worker with 1 and is the last thing
// that it says: before the worker was ready it is why prefork reload has rolled back.
// A panic ends it as any Go program. A worker that is told to leave while the function
// still prepares is ended at once, without its deferred calls.
//
// The built-in apps are such a function, too: [BuiltIn].
//
// # A life
//
//	inherit ── hello ──► starting ── welcome ──► preparing ── ready ──► standby ── serve ──► serving
//	                        │                       │                      │                   │
//	                        │ drain, signal         │                      │ drain, signal     │ drain, signal,
//	                        ▼                       ▼                      ▼                   │ too long an orphan
//	                     exit 0 ◄──────────────────────────────────── draining ◄───────────────┘
//	                                   the program's function returns
//
// starting: the worker has said hello and knows nothing about itself yet. preparing:
// the program's function runs. standby: the worker could accept and does not. Its loop
// turns and its heart beats, but its listening sockets are not in the loop, so the
// kernel wakes it for no connection. serving: they are, and the master has been told
// so; from then on it may send those of siblings to watch beside them. draining: all
// are out again, what waited in them is accepted, the master has been told so, and
// requests in flight finish.
//
// What serves is an engine, and a life does not know which: the reactor runs
// handlers on its loop, goroutines runs an http.Handler by net/http.
//
// A worker obeys its master's messages and these signals: SIGTERM, SIGQUIT and
// SIGINT start a drain, after telling the master, and after its answer if connections can
// be handed over (a second at most); SIGHUP, SIGUSR1, SIGUSR2,
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
//   - Exit code 0 is an orderly end. Any other is 1 after one line on stderr, but for
//     a program that panics.
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
// Main's own decides everything. It starts one that receives the master's messages,
// and waits for it; and one for the program's function, which runs the engine, too.
// It waits for the engine, which may start more, and not for a function that still
// prepares: the process ends.
package worker
