// Package testproc runs real processes in tests and leaves nothing behind.
//
// # What it promises
//
// A test starts the prefork binary, the test binary in the role of another
// program, or any command, and gets a [Process]: its output as it comes, its
// exit, signals to it alone. Whatever the test forgets is ended when the test
// ends, by pidfd and only if it carries the mark of this run in its environment.
//
// [Main] runs a package's tests and fails the run for what they leave: children
// (zombies too), processes further down, descriptors, goroutines, files in the
// temporary folder (sockets above all), and helper commands that no test uses.
//
// Nothing here waits by sleeping. A wait has a condition, looked at when output
// or an exit arrives or every few milliseconds, and the deadline [Patience],
// after which the test fails and shows what the process wrote.
//
// # What it does not
//
// It knows prefork only from outside, by its command line and by the JSON of
// `prefork status`, whose fields [Status] repeats from the documentation. Tests
// of the packages inside can therefore use it, and a field that changes its name
// by mistake fails here.
//
// # How a run hangs together
//
//	TestMain ── Main ─┬─ os.Args[1] is a registered command: be that program
//	                  └─ else: mark ─► tests ─► what is left? ─► exit code
//	                            │
//	                            │  TESTPROC_RUN=<pid>-<start>.<n>  (inherited)
//	                            ▼
//	            Process n ── its children ── theirs, also when they are orphans
//
// # Goroutines
//
// Each Process has two, one that waits for its exit and one that reads its
// output. Both have ended when the test's cleanup has.
package testproc
