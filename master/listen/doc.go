// Package listen holds the listening sockets of the service.
//
// What it promises: a Group is one address and its sockets: one for each slot, or
// one for all of them (always so for Unix sockets and those of systemd). All of
// them are close-on-exec and non-blocking; those of TCP are never MPTCP and join
// one SO_REUSEPORT group in the order in which they were opened. Nobody else
// listens on the address when the group is opened, or the error names who. Port
// 0 means the same port for every slot.
//
// A Fresh group is a second one on the same address, with open files of its own:
// O_NONBLOCK and other settings belong to the open file and not to its holder, so
// a new program cannot share a socket with the old one. Refuse takes an address
// away without harm: new clients are refused at once, and what waits in the
// queues can still be accepted.
//
// What it does not: it keeps no process of the same user from joining the group
// later by SO_REUSEPORT, it accepts nothing, it chooses no socket for a
// connection (the kernel does, or package steer), and it does not empty a queue
// before it closes a socket: whoever removes a slot has retired it first, or what
// waits there is reset. It cannot make systemd stop listening.
//
//	Open     claim ── listens alone, answers nobody ──┐ holds address and port
//	Add(0)     └─── socket 0 listens                  × closes
//	Add(1)          socket 1 listens                    ▲ the kernel's index of a
//	Add(2)          socket 2 listens                    │ socket is its place in the
//	Remove(2)              × always the highest         │ order of listen(): its slot
//
// Closing a socket in the middle would move the last one into its place, and an
// index would no longer be a slot: who steers takes the sockets by Release and
// closes them in an order of its own.
//
//	unix:   bound with mode 0000 ── owner ── mode ── listens
//	Fresh   the same at PATH~0, and Show exchanges the two names at once
//	Close   unlinks the name if it still is that of our own socket
//
// Goroutines: none. A Group belongs to one goroutine.
package listen
