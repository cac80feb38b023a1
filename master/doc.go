// Package master is the shell around package supervise: it turns signals,
// requests, messages and deaths into events, and actions into effects. It
// decides nothing.
//
//	signals ─────┐
//	control ─────┤                                   ┌─► children  spawn, serve, drain, abort, kill
//	workers' IPC ┼─► events ─► loop ─► Step ─► acts ─┼─► sockets   an edition for each configuration
//	workers' end ┤     ▲                             ├─► journal   log lines, event stream
//	deadlines ───┘     └──── outcomes ───────────────┼─► callers   answers
//	                                                 └─► bell      rung for all workers of our own
//
// A worker of our own and any other program differ in how they talk (talk.go):
// ours.go has messages and a scoreboard, foreign.go sd_notify(3) and signals. A
// COMMAND is given both, and shows by a hello which of them it is (command.go).
//
// It promises that one goroutine, the loop, owns the machine, the sockets, the
// table of children and the callers; that no action blocks it; and that Run,
// when it returns, has left nothing behind: no process, no goroutine, no
// socket file, no pid file.
//
// # Goroutines
//
// The loop; one for each signal; the control server's; the journal's writer; and
// for each child four: one waits for its end, one receives its messages (with a
// COMMAND three: those of each kind, and one that waits for both), two read its
// output; and one as long as something is waited for to be empty. All end
// with Run.
//
// An effect whose outcome is known at once (a spawn, an opened socket) puts it
// on a queue that the loop empties before its next select. Sending it on the
// events channel from the loop's own goroutine would deadlock once that is full.
package master
