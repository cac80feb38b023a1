package master

import (
	"github.com/sirupsen/logrus"

	"prefork/ipc"
	"prefork/master/control"
	"prefork/master/listen"
	"prefork/master/process"
	"prefork/master/supervise"
)

// What became of connections: the machine keeps the accounts of workers that leave
// (supervise/account.go); what the whole service has counted meanwhile is added here.

// reports are what has been told, and what the service had counted when each open
// account began. The loop owns them.
type reports struct {
	begun      map[uint64]stock      // by account
	number     uint64                // of the account of last
	helped     uint64                // by workers that have gone
	last       *control.ChangeReport // nil: nothing has happened yet
	lastReload *control.ChangeReport
}

// stock is what only grows, of the service as a whole.
type stock struct {
	helped  uint64
	dropped uint64 // at our own sockets; more than handshakes, see listen.Drops
	host    uint64 // handshakes, at everybody's
}

// stock counts what there is now.
func (m *master) stock() stock {
	s := stock{helped: m.reports.helped, dropped: m.sockets.dropped()}
	var err error
	if s.host, err = listen.HostDrops(); err != nil {
		s.host = s.dropped // better a false alarm than none
	}
	for _, c := range m.children {
		s.helped += bounded(c.talk.counters().Helped)
	}
	return s
}

// gone keeps what a worker has counted that is forgotten now.
func (r *reports) gone(n ipc.Counters) { r.helped += bounded(n.Helped) }

func (m *master) openAccount(a supervise.OpenAccount) {
	m.reports.begun[a.Number] = m.stock()
}

// closeAccount writes the one line about what became of connections.
func (m *master) closeAccount(a supervise.Account) {
	report := m.report(a)
	delete(m.reports.begun, a.Number)
	m.reports.last, m.reports.number = report, a.Number
	if a.Cause == string(control.Reload) {
		m.reports.lastReload = report
	}
	m.journal.change(report)
}

// report tells what is known of an account; nil: there is none.
func (m *master) report(a supervise.Account) *control.ChangeReport {
	switch a.Number {
	case 0:
		return nil
	case m.reports.number: // it is closed, and what came afterwards is not its
		return m.reports.last
	}
	now, begun := m.stock(), m.reports.begun[a.Number]
	r := &control.ChangeReport{
		Cause: a.Cause, Result: string(a.Result), Generation: a.Generation, Seconds: a.Took.Seconds(), Final: a.Final,
		Workers: a.Gone, Draining: a.Draining, Unknown: a.Silent,
		HandedOver: a.Given, Finished: a.Finished, Cut: a.Cut, LeftBehind: a.LeftBehind,
		Helped:  grown(begun.helped, now.helped),
		Dropped: min(grown(begun.dropped, now.dropped), grown(begun.host, now.host)),
	}
	r.Text = r.Cause + ": " + r.Verdict() + ": " + r.Counts()
	return r
}

// lastReports are those of status: of what is done and still drains, else the last one.
func (m *master) lastReports(draining []supervise.Account) (last, lastReload *control.ChangeReport) {
	last, lastReload = m.reports.last, m.reports.lastReload
	for _, a := range draining {
		last = m.report(a)
		if a.Cause == string(control.Reload) {
			lastReload = last
		}
	}
	return last, lastReload
}

// change writes a report as one line and one event; a loss is a warning.
func (j *journal) change(r *control.ChangeReport) {
	level := logrus.InfoLevel
	if r.Lost() {
		level = logrus.WarnLevel
	}
	j.write(level, r.Cause+": "+r.Verdict(), logrus.Fields{
		"component": "master", "reason": r.Counts(), "generation": r.Generation, "cause": r.Cause, "result": r.Result,
		"seconds": r.Seconds, "workers": r.Workers, "draining": r.Draining, "unknown": r.Unknown, "final": r.Final,
		"handed_over": r.HandedOver, "helped": r.Helped, "rescued": r.Rescued, "migrated": r.Migrated, "finished": r.Finished,
		"cut": r.Cut, "left_behind": r.LeftBehind, "dropped": r.Dropped,
	})
}

// tally is what the connections of a worker that has ended came to, since it was told
// to leave. Nothing is known
// of a foreign program's, nor of one that has overwritten its scoreboard.
func (c *child) tally(status process.Status) supervise.Tally {
	o := oursOf(c.talk)
	if o == nil {
		return supervise.Tally{}
	}
	end, err := o.board.Read()
	if err != nil {
		return supervise.Tally{}
	}
	var begin ipc.Counters
	if before := c.before.Load(); before != nil {
		begin = *before
	}
	t := supervise.Tally{
		Known: true, Given: bounded(grown(begin.Given, end.Given)),
		Finished: bounded(grown(begin.Finished, end.Finished)), Cut: bounded(grown(begin.Cut, end.Cut)),
	}
	if status != (process.Status{}) || !c.told.Load() { // what was open ended with it
		t.Cut += bounded(end.Connections)
	}
	return t
}

// bounded is what can be believed of a count: any value is possible, and sums of them
// must not overflow.
func bounded(n uint64) uint64 { return min(n, 1<<32) }

// grown is by how much a count has grown; nothing trusts a scoreboard not to shrink.
func grown(from, to uint64) uint64 { return to - min(from, to) }

// drops counts what the kernel has dropped at our listening sockets since we look. It
// knows each by its descriptor, so a socket is to be seen when it is made, and
// forgotten BEFORE it is closed: another one may get the number.
type drops struct {
	seen  map[int]uint32 // the counter of each
	total uint64
}

// see looks at one socket. One that was not seen before has dropped what it has for
// somebody else: systemd's may be old. What cannot be read counts nothing.
func (d *drops) see(fd int) {
	n, err := listen.Drops(fd)
	if err != nil {
		return
	}
	if before, known := d.seen[fd]; known {
		d.total += uint64(n - before) // it wraps, and so does the difference
	}
	d.seen[fd] = n
}

// forget sees a socket for the last time.
func (d *drops) forget(fd int) {
	d.see(fd)
	delete(d.seen, fd)
}
