package supervise

import (
	"fmt"
	"maps"
)

// books are the witness's own accounts: what the workers have counted that served is
// told once, and not before they have gone.
type books struct {
	open       map[uint64]bool
	last       uint64
	served     map[WorkerID]bool
	owed, paid sums
}

// sums are what workers have counted; silent are those who told nothing.
type sums struct{ given, finished, cut, silent uint64 }

func newBooks() books { return books{open: map[uint64]bool{}, served: map[WorkerID]bool{}} }

func (b books) clone() books {
	b.open, b.served = maps.Clone(b.open), maps.Clone(b.served)
	return b
}

// hear books an exit. Who never served has no connections, and tells of none.
func (b *books) hear(ev Event, living map[WorkerID]told) {
	gone, ok := ev.(WorkerExited)
	if _, lived := living[gone.ID]; !ok || !lived || !b.served[gone.ID] {
		return
	}
	delete(b.served, gone.ID)
	if !gone.Tally.Known {
		b.owed.silent++
		return
	}
	b.owed.given += gone.Tally.Given
	b.owed.finished += gone.Tally.Finished
	b.owed.cut += gone.Tally.Cut
}

func (b *books) see(a Action) error {
	switch a := a.(type) {
	case Serve:
		b.served[a.ID] = true
	case OpenAccount:
		if a.Number <= b.last {
			return fmt.Errorf("I12: the last account was %d", b.last)
		}
		b.last, b.open[a.Number] = a.Number, true
	case CloseAccount:
		return b.seeClose(a.Account)
	case Answer:
		return b.seeAnswer(a)
	case Exit:
		b.paid.silent = min(b.paid.silent, b.owed.silent) // who has not served may be silent, too
		if len(b.open) > 0 || b.owed != b.paid {
			return fmt.Errorf("I12: accounts %v are open; workers have counted %+v, of which %+v was told", b.open, b.owed, b.paid)
		}
	}
	return nil
}

func (b *books) seeClose(a Account) error {
	if !b.open[a.Number] || a.Result == "" {
		return fmt.Errorf("I12: it is not open, or has no result")
	}
	delete(b.open, a.Number)
	b.paid.given += a.Given
	b.paid.finished += a.Finished
	b.paid.cut += a.Cut
	b.paid.silent += uint64(a.Silent)
	if over := b.paid; over.given > b.owed.given || over.finished > b.owed.finished || over.cut > b.owed.cut {
		return fmt.Errorf("I12: workers have counted %+v, and %+v was told", b.owed, b.paid)
	}
	return nil
}

// seeAnswer wants the answer to a change that is done to come AFTER its account's end,
// or when somebody has waited long enough for that.
func (b *books) seeAnswer(a Answer) error {
	if b.open[a.Account.Number] && a.Waited < accountPatience {
		return fmt.Errorf("I12: account %d is open, and it was waited for for %v only", a.Account.Number, a.Waited)
	}
	return nil
}
