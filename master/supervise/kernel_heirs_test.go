package supervise

import (
	"fmt"
	"math"
	"time"
)

// What the fake kernel does about workers that give their connections to each other. A
// connection is one of a number; each ends with its worker, unless it was given away.

// parcel is how many connections travel together, so that a worker may die between two.
const parcel = 3

// heirless is what a worker waits, at most, for an heir when it has lost all of its own,
// before it closes what it has.
const heirless = 10 * time.Second

// protocolOf is what the connections of a configuration's workers speak: the same for
// most, so that they have heirs.
func (k *kernel) protocolOf(revision uint64) string {
	switch revision % 5 {
	case 0:
		return ""
	case 1:
		return "echo"
	}
	return "http/1"
}

// connect gives a worker that serves connections to hold.
func (k *kernel) connect(t *task) { t.conns = k.random.IntN(3 * parcel) }

// handOver makes a pair for two workers, or fails to.
func (k *kernel) handOver(a HandOver) {
	from, to := k.tasks[a.From], k.tasks[a.To]
	if a.Count > 0 {
		k.evenOut(from, to, a.Count)
		return
	}
	if len(from.heirs) > 0 && k.heir(from) == nil {
		k.saw(givesToTheNext)
	}
	if k.one(10) {
		k.saw(pairFails)
		from.spoilt = true
		return
	}
	from.heirs = append(from.heirs, to)
	if from.told { // else it begins when it is told to drain
		k.give(from)
	}
}

// evenOut has a worker give some of its connections, if both live so long.
func (k *kernel) evenOut(from, to *task, count int) {
	k.saw(evensOut)
	k.after(k.between(0, 30*time.Millisecond), func() {
		if !k.alive(from) || from.told || from.killed || from.hung > 0 || !k.alive(to) || to.told || to.killed || to.hung > 0 {
			return
		}
		n := min(count, from.conns)
		from.conns, to.conns = from.conns-n, to.conns+n
	})
}

// count is how many connections a worker says that it holds.
func (k *kernel) count(t *task) int {
	if k.one(500) {
		k.saw(countsNonsense)
		return []int{-1, math.MinInt, math.MaxInt}[k.random.IntN(3)]
	}
	return t.conns
}

// heir is one of those who live and whom a worker gives to, nil without any. One that
// was told to leave takes nothing any more.
func (k *kernel) heir(t *task) *task {
	var living []*task
	for _, heir := range t.heirs {
		if k.alive(heir) && !heir.told && !heir.killed {
			living = append(living, heir)
		}
	}
	if len(living) == 0 {
		return nil
	}
	return living[k.random.IntN(len(living))]
}

// give has a worker that drains give some connections, and then others.
func (k *kernel) give(t *task) {
	k.after(k.between(0, 30*time.Millisecond), func() {
		heir := k.heir(t)
		if !k.alive(t) || t.killed || t.hung > 0 || heir == nil || heir.hung > 0 {
			return
		}
		n := min(parcel, t.conns)
		t.conns, heir.conns = t.conns-n, heir.conns+n
		k.handedOver += n
		if t.conns > 0 {
			k.give(t)
		}
	})
}

// part is the end of a drain: of a worker that has given everything, or never had an
// heir. One that had waits for another one, as long as it may.
func (k *kernel) part(t *task) {
	if !k.alive(t) {
		return
	}
	if t.conns > 0 && len(t.heirs) > 0 && k.now < t.toldAt+heirless {
		if k.heir(t) == nil {
			k.saw(heirGone)
		}
		k.after(k.between(20*time.Millisecond, 100*time.Millisecond), func() { k.part(t) })
		return
	}
	if err := k.lost(t); err != nil && k.problem == nil {
		k.problem = err
	}
	k.tell(WorkerSaidLeft{ID: t.id})
	k.exit(t, "exit code 0")
}

// lost objects to connections that are closed in order although somebody could go on
// with them and nothing has gone wrong on the way.
func (k *kernel) lost(t *task) error {
	_, w := k.m.find(t.id)
	broken := k.witness.help.deaf
	if t.conns == 0 || t.spoilt || broken[t.id] || w == nil || w.State != Draining || k.m.Phase != running || k.heir(t) != nil {
		return nil
	}
	for id, last := range k.witness.living {
		speaks := k.witness.heirs.speaks[id]
		next := id.Slot == t.id.Slot || k.m.Slots[t.id.Slot].Serving == nil && id.Slot < k.m.ring()
		_, other := k.m.find(id)
		if last == serve && next && speaks != "" && speaks == k.witness.heirs.speaks[t.id] && !broken[id] && !other.Unwell {
			return fmt.Errorf("L4: %d connections of %s are lost, and %s could have taken them", t.conns, name(t.id), name(id))
		}
	}
	k.saw(nobodyTakes)
	return nil
}
