// Command lineecho is a protocol of its own as a worker of prefork: it sends back
// each line, behind the number of the slot. The line "quit" ends the connection.
//
//	go build ./examples/lineecho
//	prefork run -- ./lineecho
package main

import (
	"bytes"
	"fmt"

	"prefork/worker"
	"prefork/worker/reactor"
)

func main() {
	worker.Main(func(w *worker.Worker) error {
		return w.Serve(func(*reactor.Loop) reactor.Handler { return lines{slot: w.Slot()} })
	})
}

// lines is the handler of one connection. It runs on the event loop, with all others
// of its worker, and keeps nothing from line to line.
type lines struct{ slot int }

func (l lines) Handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	line, _, whole := bytes.Cut(in, []byte("\n"))
	switch {
	case !whole: // the same bytes come again, with more behind them
		return 0, out, reactor.Header
	case string(line) == "quit":
		return len(line) + 1, out, reactor.Close
	}
	return len(line) + 1, fmt.Appendf(out, "%d: %s\n", l.slot, line), reactor.Idle
}

// Pack and Unpack let a connection go on in another worker, which needs to know nothing
// about it.
func (lines) Pack() (packed []byte, ok bool) { return nil, true }

func (lines) Unpack([]byte) error { return nil }
