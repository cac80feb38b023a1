// Package peer starts servers for the comparisons: prefork itself, what it is
// compared with, and whatever else a benchmark brings along.
//
// It promises:
//
//   - A server is started only from a path, in a session of its own, on the cores
//     that it is given, and counts as started when it has answered a request.
//   - Stop ends all that the server started, children and orphans too, and no
//     other process: the members of a session are found in /proc, and each is
//     killed by a handle that was checked after it was opened.
//   - A program that is missing is installed by Debian's package manager or
//     reported as missing, never fetched in another way; its service is not started.
//
// It does not say what to measure, and it sends no load but one request a start.
//
//	Find, Source.Build ──path──► Spec ──Start──► Process ──Stop──► nothing is left
//	                                               │
//	                                Members, CPUTime, Anonymous, Descriptors
//
//	RunOn runs what is no server, such as a load generator, to its end.
//
// Each Process owns one goroutine, which waits for its end.
package peer
