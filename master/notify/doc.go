// Package notify is the master's side of sd_notify(3) for one worker: a socket
// of its own, on which a program in any language says that it is ready, what it
// is doing, and that it is alive.
//
// What it promises: a message that Receive returns came from the worker or from
// a process that descends from it, and holds nothing but bounded, printable
// text. What it does not: it decides nothing. Rates, deadlines, and what READY=1
// means are the caller's; so is WATCHDOG_USEC, which a worker gets in its
// environment.
//
//	worker, or a descendant      kernel                     master
//	sendmsg(NOTIFY_SOCKET) ───► queue of the socket ──► Receive ─┬─ who sent it?     SCM_CREDENTIALS, /proc
//	     ▲                      bounded; a full one              ├─ what does it say? Parse
//	     │                      makes the sender wait            └─ Message, or *RejectedError
//	     └─ BARRIER=1: waits until its descriptor is closed, AFTER both questions
//
// # Who may speak
//
// The kernel puts the sender's PID beside each message (SO_PASSCRED, unix(7)); only
// root can lie about it, and systemd-notify does, to speak for its parent. It
// belongs to the worker when it, or an ancestor of it, is the worker or is in the
// worker's process group, which the worker leads: a grandchild whose parent has
// ended hangs under init, and still is in that group. What left the group
// (setsid) and then lost its parent is a stranger.
//
// The rest is read from /proc, so a sender that has ended and was waited for
// cannot be checked: its message is rejected. sd_notify_barrier(3) exists for
// that, and systemd-notify calls it unless it is told --no-block: the sender
// passes a descriptor along and waits until every copy of it is closed. Receive
// closes what came with a message AFTER the check, which is all that a barrier
// needs; by then the caller has taken every message before it, too. A worker
// needs no barrier for itself: its PID is enough.
//
// # What may be said
//
// A message is at most 4,096 bytes of lines NAME=VALUE, as with systemd. READY,
// RELOADING, STOPPING (only the value 1), STATUS, WATCHDOG, EXTEND_TIMEOUT_USEC
// and ERRNO are understood. What would change how the worker is supervised or
// store descriptors (MAINPID, FDSTORE, WATCHDOG_USEC, …) is refused, each in one
// line, and the rest of the message holds. Unknown names are ignored quietly, as
// sd_notify(3) has it, so that programs may tell other managers more.
//
// # A flood
//
// Receive reads one message into a buffer that the socket owns, at the caller's
// pace. The kernel queues net.unix.max_dgram_qlen messages; then the sender waits
// or gets EAGAIN. A worker that floods stops nobody but itself.
//
// # Sources
//
// sd_notify(3), sd_notify_barrier(3) and systemd-notify(1) of systemd 252 to 257,
// unix(7), proc_pid_stat(5).
//
// # Goroutines
//
// None. A Receive that waits sleeps in the runtime's poller, without a thread.
package notify
