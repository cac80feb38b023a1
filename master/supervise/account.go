package supervise

import (
	"fmt"
	"slices"
	"time"
)

// What became of connections. Everything that ends workers has an account: a reload,
// a scale, a drain of all, a recycled worker, a crash, the stop. Who leaves belongs to
// the account of what made it leave, and pays in what it has counted when it has gone.
// An account closes when nobody belongs to it any more, and no slot:
//
//	opened ──► change done ──► the last that left has gone ──► its slots have closed,
//	              │                                            or are served again: closed
//	              └──► callers are answered then, or accountPatience after the change

// accountPatience is how long the answer to a request waits for its account once the
// change is done. Who drains for longer is told of as a number.
const accountPatience = time.Second

// The causes beside the kinds of change.
const (
	causeDrain   = "drain"   // of all workers: WINCH
	causeRecycle = "recycle" // one is replaced, or leaves of its own accord
	causeCrash   = "crash"   // one died, or was aborted
	causeStop    = "stop"
)

// Tally is what a worker's connections came to, since it was told to leave or in its
// last moment.
type Tally struct {
	Known    bool   // it tells of its connections; else nothing is known of them
	Given    uint64 // handed over to others who acknowledged them
	Finished uint64 // ended in order
	Cut      uint64 // ended before their end: at its deadline, or with it
}

// Account is what became of connections because of one cause. The zero value is none.
type Account struct {
	Number     uint64        `json:"number"` // counts up; names it to the shell
	Cause      string        `json:"cause"`
	Generation uint64        `json:"generation"`
	Result     Result        `json:"result"`   // of the change; empty until that is done
	Took       time.Duration `json:"took"`     // until the change was done; of a crash: until the slot was served
	Draining   int           `json:"draining"` // workers that leave because of it and have not gone
	Gone       int           `json:"gone"`     // those that have
	Silent     int           `json:"silent"`   // of Gone: who told nothing of their connections
	Given      uint64        `json:"given"`
	Finished   uint64        `json:"finished"`
	Cut        uint64        `json:"cut"`
	LeftBehind uint64        `json:"left_behind"` // closed with the queues of its slots
	Final      bool          `json:"final"`       // it is closed; else there may be more to come
}

// account is an open Account.
type account struct {
	Account
	BeganAt  Time     `json:"began_at"`
	DoneAt   Time     `json:"done_at"`   // 0: not yet
	Callers  []Caller `json:"callers"`   // who wait for it
	AnswerBy Time     `json:"answer_by"` // when they are told what is known; 0: there are none
}

// openAccount opens an account and returns its number.
func (m *Machine) openAccount(cause string, generation uint64) uint64 {
	m.LastAccount++
	m.Accounts = append(m.Accounts, &account{
		Account: Account{Number: m.LastAccount, Cause: cause, Generation: generation}, BeganAt: m.now,
	})
	m.do(OpenAccount{Number: m.LastAccount})
	return m.LastAccount
}

// account finds an open one; nil: none, as 0 is.
func (m *Machine) account(number uint64) *account {
	i := slices.IndexFunc(m.Accounts, func(a *account) bool { return a.Number == number })
	if i < 0 {
		return nil
	}
	return m.Accounts[i]
}

// accountFor opens an account for a worker that leaves its slot unserved, when it had
// served; the slot belongs to it until somebody serves there again.
func (m *Machine) accountFor(s *slot, w *worker, cause string) {
	if w.ReadyAt > 0 {
		w.Account = m.openAccount(cause, w.Generation)
		s.Account = w.Account
	}
}

// payIn books what a worker that has gone has counted.
func (m *Machine) payIn(w *worker, t Tally) {
	a := m.account(w.Account)
	if a == nil {
		return
	}
	a.Gone++
	if !t.Known {
		a.Silent++
		return
	}
	a.Given += t.Given
	a.Finished += t.Finished
	a.Cut += t.Cut
}

// settleChange books the outcome of a change, and keeps its callers for the account;
// false: they are to be answered at once.
func (m *Machine) settleChange(c *change, result Result) (waits bool) {
	a := m.account(c.Account)
	if a == nil {
		return false
	}
	a.Result, a.DoneAt, a.Took = result, m.now, m.now-a.BeganAt
	if result != Done {
		return false
	}
	for _, w := range c.Callers {
		if w.Caller != 0 {
			a.Callers, a.AnswerBy = append(a.Callers, w.Caller), m.now+accountPatience
		}
	}
	return true
}

// closeAccounts closes those that nobody belongs to any more, and tells who has waited
// long enough for one.
func (m *Machine) closeAccounts() {
	if len(m.Accounts) == 0 {
		return
	}
	draining, slots := m.belonging()
	m.Accounts = slices.DeleteFunc(m.Accounts, func(a *account) bool {
		a.Draining = draining[a.Number]
		if m.goesOn(a) || a.Draining > 0 || slots[a.Number] {
			if a.AnswerBy > 0 && a.AnswerBy <= m.now {
				m.answerAccount(a)
			}
			return false
		}
		m.closeAccount(a)
		return true
	})
}

// goesOn tells whether somebody may still come to belong to an account: the change
// runs, or the master stops and has not closed its slots.
func (m *Machine) goesOn(a *account) bool {
	return m.Change != nil && m.Change.Account == a.Number || m.Phase == stopping && a.Cause == causeStop
}

// belonging counts who leaves because of each account, and tells which have a slot
// that is not yet closed or served again.
func (m *Machine) belonging() (draining map[uint64]int, slots map[uint64]bool) {
	draining, slots = map[uint64]int{}, map[uint64]bool{}
	for _, s := range m.Slots {
		for _, w := range s.Leaving {
			draining[w.Account]++
		}
		if unserved := s.Serving != nil && s.Serving.State != Ready; !s.Retiring && !unserved {
			s.Account = 0
		}
		slots[s.Account] = true
	}
	return draining, slots
}

func (m *Machine) closeAccount(a *account) {
	if a.DoneAt == 0 {
		a.Result, a.DoneAt, a.Took = Done, m.now, m.now-a.BeganAt
	}
	a.Final = true
	m.do(CloseAccount{Account: a.Account})
	m.answerAccount(a)
}

// answerAccount tells everybody who waits for an account what is known.
func (m *Machine) answerAccount(a *account) {
	for _, c := range a.Callers {
		m.do(Answer{Caller: c, Result: Done, Account: a.Account, Waited: m.now - a.DoneAt})
	}
	a.Callers, a.AnswerBy = nil, 0
}

// closeAllAccounts answers who has asked for the stop, too. It is for the end of the master: whoever has not gone by now stays.
func (m *Machine) closeAllAccounts() {
	for _, a := range m.Accounts {
		if a.Cause == causeStop {
			a.Callers, m.Stoppers = append(a.Callers, m.Stoppers...), nil
		}
		m.closeAccount(a)
	}
	m.Accounts = nil
}

// checkAccounts comes AFTER the check of the slots. It checks that everybody belongs to an account that is there, and that
// none is kept for nobody.
func (m *Machine) checkAccounts() error {
	draining, slots := map[uint64]int{}, map[uint64]bool{}
	for _, s := range m.Slots {
		if s.Account != 0 && m.account(s.Account) == nil {
			return fmt.Errorf("account %d of slot %d is not open", s.Account, s.Number)
		}
		slots[s.Account] = true
		for _, w := range s.workers() {
			switch {
			case w.Account != 0 && (w == s.Serving || w == s.Coming):
				return fmt.Errorf("worker %v has an account and does not leave", w.ID)
			case w.Account != 0 && m.account(w.Account) == nil:
				return fmt.Errorf("account %d of worker %v is not open", w.Account, w.ID)
			case w.ReadyAt > 0 && m.Generation == 0:
				return fmt.Errorf("worker %v has served before the first generation", w.ID)
			case w.Account == 0 && w.ReadyAt > 0 && w != s.Serving:
				return fmt.Errorf("worker %v leaves on nobody's account", w.ID)
			}
			draining[w.Account]++
		}
	}
	if c := m.Change; c != nil && (c.Kind == start && c.Account != 0 || c.Kind != start && m.account(c.Account) == nil) {
		return fmt.Errorf("the %s under way has account %d", c.Kind, c.Account)
	}
	last := uint64(0)
	for _, a := range m.Accounts {
		if a == nil || a.Number <= last || a.Number > m.LastAccount {
			return fmt.Errorf("accounts up to %d are not in order", m.LastAccount)
		}
		last = a.Number
		switch {
		case !m.goesOn(a) && !slots[a.Number] && draining[a.Number] == 0:
			return fmt.Errorf("nobody belongs to account %d", a.Number)
		case (a.AnswerBy > 0) != (len(a.Callers) > 0) || len(a.Callers) > 0 && a.DoneAt == 0:
			return fmt.Errorf("%d callers wait for account %d, done at %v, until %v", len(a.Callers), a.Number, a.DoneAt, a.AnswerBy)
		}
	}
	return nil
}
