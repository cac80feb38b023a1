package proto

import "prefork/worker/reactor"

// Echo sends back every byte it gets. It has no state: one value serves any
// number of connections.
type Echo struct{}

var _ reactor.Portable = Echo{}

// Handle answers in with itself.
func (Echo) Handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	return len(in), append(out, in...), reactor.Idle
}

// Pack implements reactor.Portable: there is nothing to pack.
func (Echo) Pack() (packed []byte, ok bool) { return nil, true }

// Unpack implements reactor.Portable, and is never called.
func (Echo) Unpack([]byte) error { return nil }
