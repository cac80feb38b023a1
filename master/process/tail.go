package process

import (
	"bytes"
	"strings"
	"sync"
)

// TailMax is how many bytes a Tail keeps.
const TailMax = 4 << 10

// Tail keeps the end of what is written to it: a worker's last words. The zero
// value is ready to use. Its methods may be called from any goroutine.
type Tail struct {
	mu   sync.Mutex
	kept []byte
	cut  bool // something before kept is gone
}

// Write never fails.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	written := len(b)
	if excess := len(b) - TailMax; excess > 0 {
		b = b[excess:] // or one big write would make the buffer big for good
		t.cut = true
	}
	t.kept = append(t.kept, b...)
	if excess := len(t.kept) - TailMax; excess > 0 {
		t.kept = append(t.kept[:0], t.kept[excess:]...)
		t.cut = true
	}
	return written, nil
}

// String gives what is kept as valid UTF-8, without the last line feed, and
// without half a line at its beginning unless that is all there is.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := bytes.TrimRight(t.kept, "\n")
	if t.cut {
		if _, rest, found := bytes.Cut(kept, []byte("\n")); found {
			kept = rest
		}
	}
	return strings.ToValidUTF8(string(kept), "\uFFFD")
}
