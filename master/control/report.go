package control

import (
	"fmt"
	"strings"
)

// ChangeReport tells what became of connections because of a change, a crash or the
// stop. What is not known is said to be unknown: it is not in the numbers.
type ChangeReport struct {
	Cause      string  `json:"cause"`  // reload, scale, resume, drain, recycle, crash, stop
	Result     string  `json:"result"` // as of an Answer
	Generation uint64  `json:"generation"`
	Seconds    float64 `json:"seconds"` // until it was done; of a crash until the slot was served again

	Final    bool `json:"final"`    // else the numbers may still grow: somebody drains, or a slot is not yet closed or served again
	Workers  int  `json:"workers"`  // that left because of it and have gone
	Draining int  `json:"draining"` // that have not
	Unknown  int  `json:"unknown"`  // of Workers: who tell nothing of their connections

	HandedOver uint64 `json:"handed_over"` // given to other workers, and acknowledged
	Helped     uint64 `json:"helped"`      // accepted by siblings meanwhile, anywhere
	Rescued    uint64 `json:"rescued"`     // not yet: always 0
	Migrated   uint64 `json:"migrated"`    // not yet: always 0
	Finished   uint64 `json:"finished"`    // ended in order
	Cut        uint64 `json:"cut"`         // ended before their end, or with their worker
	LeftBehind uint64 `json:"left_behind"` // reset in the queue of a slot that closed
	Dropped    uint64 `json:"dropped"`     // handshakes that our queues had no room for meanwhile

	// Text says it to people: which loss, or that there was none.
	Text string `json:"text"`
}

// Lost tells whether something is known to be lost.
func (r ChangeReport) Lost() bool { return r.Cut > 0 || r.LeftBehind > 0 || r.Dropped > 0 }

// Verdict is the statement about losses.
func (r ChangeReport) Verdict() string {
	switch {
	case r.Lost():
		return "connections were lost"
	case !r.Final:
		return "nothing is lost so far"
	case r.Unknown > 0:
		return "no loss is known"
	}
	return "nothing was lost"
}

// Counts are the numbers in words, but for zeros of what is no loss.
func (r ChangeReport) Counts() string {
	words := []string{count(r.HandedOver, "connection", "connections") + " handed over"}
	add := func(n uint64, what string) {
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(r.Helped, "helped")
	add(r.Rescued, "rescued")
	add(r.Migrated, "migrated")
	add(r.Finished, "finished")
	words = append(words, fmt.Sprintf("%d cut, %d dropped", r.Cut, r.Dropped))
	add(r.LeftBehind, "left behind in a queue")
	if r.Unknown > 0 {
		words = append(words, "unknown of "+count(uint64(r.Unknown), "worker", "workers"))
	}
	switch r.Draining {
	case 0:
		if !r.Final {
			words = append(words, "not final")
		}
	case 1:
		words = append(words, "1 worker still drains")
	default:
		words = append(words, fmt.Sprintf("%d workers still drain", r.Draining))
	}
	return strings.Join(words, ", ")
}

func count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
