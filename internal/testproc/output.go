package testproc

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// transcriptMax bounds what is kept of a process's output; what comes later is
// read and dropped, so that the process never waits for us.
const transcriptMax = 4 << 20

// transcript is the output of a process as it grows.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next change, then replaced
	ended   chan struct{} // closed when nothing more can come
}

func newTranscript() *transcript {
	return &transcript{changed: make(chan struct{}), ended: make(chan struct{})}
}

// copyFrom reads to the end. A read error is an end too: EIO is how a terminal
// says that nobody has it open any more (pty(7)).
func (o *transcript) copyFrom(r io.Reader) {
	defer close(o.ended)
	_, _ = io.Copy(o, r)
}

// Write never fails.
func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p[:min(len(p), transcriptMax-o.text.Len())])
	close(o.changed)
	o.changed = make(chan struct{})
	return len(p), nil
}

// read returns the text so far and a channel that closes when there is more.
func (o *transcript) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

// lineWith returns the first whole line that contains part.
func lineWith(text, part string) (string, bool) {
	for line := range strings.Lines(text) {
		if strings.HasSuffix(line, "\n") && strings.Contains(line, part) {
			return strings.TrimRight(line, "\r\n"), true
		}
	}
	return "", false
}
