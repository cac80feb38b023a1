// Package ipc is what a master and one of its own workers say to each other,
// and how: messages, their bytes, the socket that carries them, and the shared
// memory in which a worker counts.
//
// # The conversation
//
// The master makes a pair of connected Unix sockets for each worker that it
// starts. The worker inherits one end; its number stands in the environment
// variable [EnvFD].
//
//	worker                                   master
//	  │ Hello    versions it speaks, its PID   │
//	  ├───────────────────────────────────────►│
//	  │      Welcome  who it is, its settings, │
//	  │◄──────── its scoreboard and the bell ──┤
//	  │ Ready    it could accept now           │
//	  ├───────────────────────────────────────►│
//	  │      Serve    its generation is whole: │
//	  │◄────────────────────── accept from now ┤
//	  │ Listening  its own sockets are in its  │
//	  ├─ loop ────────────────────────────────►│
//	  │      Watch   those of a sibling's slot │
//	  │◄─────── (0 to 253 fds), again and again┤
//	  │ Watched  they are in the loop, too     │
//	  ├───────────────────────────────────────►│
//	  │      Take    what comes from another   │
//	  │◄──────── worker through this socket ───┤
//	  │      Give    your idle connections to  │
//	  │◄──────── who is behind this socket ────┤
//	  │                 ...                    │
//	  │ Leaving  it drains of its own accord   │
//	  ├ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ►│
//	  │      Drain    finish and leave         │
//	  │◄───────────────────────────────────────┤
//	  │ Left     its listeners are out of the  │
//	  ├─ loop and empty ──────────────────────►│
//	  │ (end of file)  it has exited           │
//	  └───────────────────────────────────────►│
//
// The package knows the shape of each message and nothing about its meaning:
// which one may come when is for the two sides to decide.
//
// # Promises
//
//   - One message is one datagram of a SOCK_SEQPACKET socket: no partial reads,
//     and the end of the peer is seen as an end of file.
//   - Sizes are bounded on both sides, and what is not known is refused: a
//     [ProtocolError] names it, and every file descriptor that came along is closed.
//   - Sending never blocks. A peer that does not read costs an [ErrFull].
//   - Every descriptor is close-on-exec from the moment it exists.
//   - The [Scoreboard] has a fixed, sealed size, so that no worker can make the
//     master fault by truncating it.
//
// # Not promised
//
// Nothing here authenticates: whoever holds an end of a pair is the peer.
// Values are not trusted: a worker can write whatever it likes into its own
// scoreboard, and a reader has to bear that.
//
// # Versions
//
// Each message carries the version of the protocol, and Hello and Welcome agree
// on one. Version N of this package talks to N-1 and to itself; kinds and fields
// are added, never renumbered.
//
// # Goroutines
//
// The package starts none.
package ipc
