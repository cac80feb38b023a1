// Package steer decides which sockets of a reuseport group get new connections.
//
// What it promises: an Order knows the sockets of one group in the kernel's
// order, and which of them are live. After Settle the kernel gives every new
// connection to a live socket, each with the same chance, and a socket that is
// not live gets none. Sockets can join, become live, cease to be, and be closed
// while clients connect, and no connection goes astray in between: neither to a
// socket that nobody serves, nor to one that is closed a moment later.
//
// What it does not: it moves no connection that a socket has got already, nor
// one whose handshake has begun: whoever serves that socket empties its queue,
// and does not trust an empty one for the first two milliseconds after Settle. It
// refuses nobody: while no socket is live, all of them get connections, which
// wait. It knows nothing of slots, workers or addresses.
//
//	order of listen()   0 1 2 | 3 4 5        the program: live[random % 3]
//	live                        x x x        old 0 1 2, fresh 3 4 5
//
//	close 2, 1, 0       0 1 2 | 3 4 5
//	  last moves to 2   0 1 5 | 3 4          (the kernel fills the hole with its last)
//	  last moves to 1   0 4 5 | 3
//	  last moves to 0   3 4 5
//
// A program that is right before and after each of these moves does not name the
// socket that moves; a moment later the next one names all again. When the one
// that moves is the only live one, a client that comes in the few microseconds
// between is not answered and tries again after a second: see Order.Refuse.
//
// Classic BPF (SO_ATTACH_REUSEPORT_CBPF, Linux 4.5) is enough and needs no
// privilege. When every socket is live there is no program at all: then the
// kernel's own hash chooses.
//
// Goroutines: none. An Order belongs to one goroutine. It closes the sockets that
// were handed to it by Leave, and no others.
package steer
