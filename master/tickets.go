package master

import (
	"crypto/rand"
	"maps"
	"slices"

	"prefork/ipc"
	"prefork/master/config"
)

// tickets are the keys by which workers seal the sessions that TLS clients bring
// back, by revision: the key that seals, then older ones that only open.
//
// All workers of a generation have the same ones, because a client's next connection
// may come to another worker. The next generation opens what this one has sealed, so
// a reload costs nobody a full handshake; two reloads later nobody has the key any more.
type tickets map[uint64][][]byte

// add gives a new revision a key of its own, and those of the revisions that are
// kept, the newest first.
func (t tickets) add(revision uint64) {
	own := make([]byte, ipc.TicketKeySize)
	rand.Read(own) // it never fails: see crypto/rand
	keys := [][]byte{own}
	for _, kept := range slices.Backward(slices.Sorted(maps.Keys(t))) {
		keys = append(keys, t[kept][0])
	}
	t[revision] = keys
}

// tlsFor returns what a built-in worker must know of TLS; nil: nothing.
func tlsFor(cfg config.Config, ticketKeys [][]byte) *ipc.TLS {
	if !cfg.TLS() {
		return nil
	}
	return &ipc.TLS{Certificate: cfg.Certificate.Chain, Key: string(cfg.Certificate.Key), TicketKeys: ticketKeys}
}
