package master

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"prefork/internal/testproc"
)

// entry is one line of a master's log.
type entry map[string]any

func (e entry) text(key string) string { s, _ := e[key].(string); return s }

func (e entry) number(key string) int {
	n, ok := e[key].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// is tells whether the entry has this message and, for a worker's, this slot.
func (e entry) is(msg string, slot int) bool {
	return e.text("msg") == msg && (slot < 0 || e.number("slot") == slot)
}

const (
	noSlot = -1
	// outputsMax and entriesMax bound what is kept: some workers write a lot.
	outputsMax = 1000
	entriesMax = 20_000
)

// logbook reads the log of a master while it grows. What workers have written
// is kept apart, since it can be much.
type logbook struct {
	mu      sync.Mutex
	entries []entry
	outputs []entry
	foreign []string // lines that are no JSON
	read    struct{ outputs, bytes, longest int }
	changed chan struct{} // closed at the next change, then replaced
	ended   chan struct{} // closed when nothing more can come
}

// follow reads a log until its end, which the end of the test waits for.
func follow(t testing.TB, from *os.File) *logbook {
	t.Helper()
	b := &logbook{changed: make(chan struct{}), ended: make(chan struct{})}
	go b.readFrom(from)
	t.Cleanup(func() { // AFTER the master has ended, who holds the other end
		<-b.ended
		_ = from.Close() // was only read
		b.report(t)
	})
	return b
}

// report shows the log of a failed test. Lines that are no JSON are how a master
// says that it has panicked or that it races.
func (b *logbook) report(t testing.TB) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.foreign {
		if !strings.Contains(line, missingText) {
			t.Errorf("the master's log has a line that is no JSON: %s", line)
		}
	}
	if !t.Failed() {
		return
	}
	for _, e := range append(b.entries, b.outputs...) {
		line, _ := json.Marshal(e) // it was JSON
		t.Logf("log: %.1000s", line)
	}
}

func (b *logbook) readFrom(from io.Reader) {
	defer close(b.ended)
	lines := bufio.NewReaderSize(from, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			b.add(line)
		}
		if err != nil {
			return // the end, or a line that no log has
		}
	}
}

func (b *logbook) add(line []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	output := strings.Contains(string(line), `"component":"output"`)
	if output {
		b.read.outputs++
		b.read.longest = max(b.read.longest, len(line))
	}
	b.read.bytes += len(line)
	var e entry
	switch {
	case output && len(b.outputs) >= outputsMax && !isKept(string(line)):
		return
	case json.Unmarshal(line, &e) != nil:
		b.foreign = append(b.foreign, strings.TrimSpace(string(line)))
	case output:
		b.outputs = append(b.outputs, e)
	case len(b.entries) < entriesMax:
		b.entries = append(b.entries, e)
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// isKept tells which outputs are kept however many there are.
func isKept(line string) bool {
	return strings.Contains(line, `"dropped":`) || strings.Contains(line, printedEnd)
}

// find returns the entries, or with output what workers wrote, that are wanted.
func (b *logbook) find(output bool, wanted func(entry) bool) (found []entry, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.entries
	if output {
		list = b.outputs
	}
	for _, e := range list {
		if wanted(e) {
			found = append(found, e)
		}
	}
	return found, b.changed
}

// count returns how many entries have this message and slot.
func (b *logbook) count(msg string, slot int) int {
	found, _ := b.find(false, func(e entry) bool { return e.is(msg, slot) })
	return len(found)
}

// await waits for an entry with this message and slot (noSlot: any) and returns
// the first.
func (b *logbook) await(t testing.TB, msg string, slot int) entry {
	t.Helper()
	return b.awaitThat(t, msg, false, func(e entry) bool { return e.is(msg, slot) })
}

// awaitOutput waits for a line that a worker has written.
func (b *logbook) awaitOutput(t testing.TB, line string) entry {
	t.Helper()
	return b.awaitThat(t, line, true, func(e entry) bool { return e.text("msg") == line })
}

// awaitMeanwhile waits for a line that a worker has written, and does something
// over and over until then.
func (b *logbook) awaitMeanwhile(t testing.TB, line string, do func()) {
	t.Helper()
	testproc.Await(t, line, func() bool {
		do()
		found, _ := b.find(true, func(e entry) bool { return e.text("msg") == line })
		return len(found) > 0
	})
}

// has tells whether there is an entry with this message and a reason that
// contains a text.
func (b *logbook) has(msg, reason string) bool {
	found, _ := b.find(false, func(e entry) bool {
		return e.text("msg") == msg && strings.Contains(e.text("reason"), reason)
	})
	return len(found) > 0
}

// length is how many entries there are.
func (b *logbook) length() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries)
}

func (b *logbook) awaitThat(t testing.TB, what string, output bool, wanted func(entry) bool) entry {
	t.Helper()
	timeout := time.NewTimer(testproc.Patience)
	defer timeout.Stop()
	for {
		found, changed := b.find(output, wanted)
		if len(found) > 0 {
			return found[0]
		}
		select {
		case <-changed:
		case <-b.ended:
			if found, _ := b.find(output, wanted); len(found) > 0 {
				return found[0]
			}
			t.Fatalf("the log has ended without %q", what)
		case <-timeout.C:
			t.Fatalf("no %q in the log after %v", what, testproc.Patience)
		}
	}
}

// mustSay checks that an entry's reason contains a text.
func (e entry) mustSay(t testing.TB, key, want string) {
	t.Helper()
	if got := e.text(key); !strings.Contains(got, want) {
		t.Errorf("%s of %q is %q, want one with %q", key, e.text("msg"), got, want)
	}
}
