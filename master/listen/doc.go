// Package listen holds the listening sockets of the service.
//
// What it promises: a Group is one address with one socket for each slot. All
// of them are plain TCP (never MPTCP), close-on-exec and non-blocking, and join
// one SO_REUSEPORT group in the order of their slots. Nobody else listens on
// the address when the group is opened, or the error names who. Port 0 means
// the same port for every slot.
//
// What it does not: it keeps no process of the same user from joining the group
// later by SO_REUSEPORT, it accepts nothing, it chooses no slot (the kernel does, or
// package steer), and it does not empty a queue before it closes a socket:
// whoever removes a slot has retired it first, or what waits there is reset.
//
//	Open     claim ── listens alone, answers nobody ──┐ holds address and port
//	Add(0)     └─── socket 0 listens                  × closes
//	Add(1)          socket 1 listens                    ▲ the kernel's index of a
//	Add(2)          socket 2 listens                    │ socket is its place in the
//	Remove(2)              × always the highest         │ order of listen(): its slot
//
// Closing a socket in the middle would move the last one into its place, and an
// index would no longer be a slot.
//
// Goroutines: none. A Group belongs to one goroutine.
package listen
