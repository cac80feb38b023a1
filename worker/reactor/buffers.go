package reactor

const (
	// bufferSize is what a half-read request or a half-sent answer usually
	// needs. An idle connection has no buffer at all.
	bufferSize = 4 << 10
	// buffersKeptMax bounds the memory that waits to be used again: 1 MiB.
	buffersKeptMax = 256
)

// buffers is the loop's free list of buffers of bufferSize bytes, and of stashes
// for them. Larger buffers are rare and left to the garbage collector.
type buffers struct {
	free    [][]byte
	stashes []*stash
}

// get returns an empty buffer with room for size bytes.
func (b *buffers) get(size int) []byte {
	if size > bufferSize {
		return make([]byte, 0, size)
	}
	n := len(b.free)
	if n == 0 {
		return make([]byte, 0, bufferSize)
	}
	buffer := b.free[n-1]
	b.free = b.free[:n-1]
	return buffer
}

// put takes a buffer back; nil is welcome.
func (b *buffers) put(buffer []byte) {
	if cap(buffer) == bufferSize && len(b.free) < buffersKeptMax {
		b.free = append(b.free, buffer[:0])
	}
}

// widen returns the buffer with at least one byte of room behind its content.
func (b *buffers) widen(buffer []byte) []byte {
	if len(buffer) < cap(buffer) {
		return buffer
	}
	wider := append(b.get(2*cap(buffer)), buffer...)
	b.put(buffer)
	return wider
}

func (b *buffers) stash() *stash {
	n := len(b.stashes)
	if n == 0 {
		return new(stash)
	}
	s := b.stashes[n-1]
	b.stashes = b.stashes[:n-1]
	return s
}

func (b *buffers) putStash(s *stash) {
	if len(b.stashes) < buffersKeptMax {
		b.stashes = append(b.stashes, s)
	}
}
