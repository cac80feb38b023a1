package supervise

import (
	"cmp"
	"fmt"
	"slices"
)

// Connections that stay for long sit where they were accepted: whoever woke first in
// a burst has most of them, a worker that was restarted has none. The numbers below say
// when that is worth moving some, and bound how many move at a time.
const (
	unevenPercent = 115     // of the mean is more than anybody should hold
	unevenLeast   = 4       // connections more than the mean
	movesMax      = 512     // connections that one worker hands over after one sample
	heldMax       = 1 << 24 // connections that a worker can hold: who counts more has a broken counter
)

// load is what a worker holds.
type load struct {
	worker      *worker
	connections int
}

// move is connections that one worker hands to another.
type move struct {
	from, to    *worker
	connections int
}

// rebalance has workers that were seen to hold too much twice, a second apart, hand
// connections to those that hold least. Whoever has just done that is looked at anew:
// what is busy, or comes meanwhile, does not count twice.
func (m *Machine) rebalance(beats []Beat) {
	loads := m.loads(beats)
	for _, mv := range spreadOut(loads) {
		m.do(HandOver{From: mv.from.ID, To: mv.to.ID, Count: mv.connections})
		m.note(Note{Level: Debug, Text: "worker hands connections over", ID: mv.from.ID, Generation: mv.from.Generation, PID: mv.from.PID,
			Reason: fmt.Sprintf("%d to %d/%d, which holds fewer", mv.connections, mv.to.ID.Slot, mv.to.ID.Incarnation)})
		mv.from.Heavy = false
	}
}

// loads are those of the workers that could take part: they serve, can be told to, and
// speak one protocol. While the workers themselves change there are none.
func (m *Machine) loads(beats []Beat) []load {
	if m.Phase != running || m.Change != nil || !m.Target.Rebalance {
		return nil
	}
	var all []load
	for _, b := range beats {
		s, w := m.find(b.ID)
		if w == nil || w != s.Serving || w.State != Ready || w.Unwell || w.Deaf || w.Protocol == "" || s.Retiring {
			continue
		}
		if b.Connections < 0 || b.Connections > heldMax {
			continue
		}
		if len(all) == 0 || w.Protocol == all[0].worker.Protocol {
			all = append(all, load{w, b.Connections})
		}
	}
	return all
}

// spreadOut decides who hands how many to whom, and notes who is heavy now.
func spreadOut(loads []load) []move {
	total := 0
	for _, l := range loads {
		total += l.connections
	}
	slices.SortFunc(loads, func(a, b load) int {
		return cmp.Or(cmp.Compare(a.connections, b.connections), cmp.Compare(a.worker.ID.Slot, b.worker.ID.Slot))
	})
	var moves []move
	for i := range slices.Backward(loads) { // the heaviest first
		heavy := isHeavy(loads[i].connections, total, len(loads))
		if heavy && loads[i].worker.Heavy {
			moves = append(moves, unload(loads, i, total/len(loads))...)
		}
		loads[i].worker.Heavy = heavy
	}
	return moves
}

// isHeavy tells whether somebody holds too much where n hold total together.
func isHeavy(connections, total, n int) bool {
	return connections*n*100 > total*unevenPercent && connections*n >= total+unevenLeast*n
}

// unload brings one worker down to the mean, or by movesMax: the lightest get most.
func unload(loads []load, from, mean int) []move {
	var moves []move
	left := min(loads[from].connections-mean, movesMax)
	for to := 0; to < from && left > 0; to++ {
		n := min(mean-loads[to].connections, left)
		if n <= 0 {
			continue // others have been here before
		}
		moves = append(moves, move{loads[from].worker, loads[to].worker, n})
		loads[to].connections += n
		left -= n
	}
	return moves
}
