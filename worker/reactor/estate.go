package reactor

import "slices"

// estate is what a loop has to do with the loops of other workers: whom it gives
// connections, and whose it takes. The package comment has the rules.
type estate struct {
	heirs     []*heir
	givers    []*giver
	gifts     []Token  // connections that are offered to heirs
	lastGifts []Token  // those of the last time: one list is read while the other grows
	mailbox   *mailbox // nil: there are no pairs
	closing   bool     // all connections are about to be closed
}

// handOver is the share that giving and taking have in a turn.
func (l *Loop) handOver() {
	if l.mailbox == nil && len(l.gifts) == 0 {
		return
	}
	for _, g := range l.givers {
		if g.heard && !g.over {
			g.heard = false
			g.hear()
		}
	}
	for _, h := range l.heirs {
		if h.heard {
			h.heard = false
			h.hear()
		}
	}
	for _, h := range l.heirs {
		h.giveSome()
	}
	l.giveOffered()
	l.forgetPairs()
}

// giveOffered sends each heir its share of what is offered. What the heirs have no
// room for waits; what nobody takes stays.
func (l *Loop) giveOffered() {
	gifts := l.gifts
	l.gifts, l.lastGifts = l.lastGifts[:0], gifts // what comes back is offered again
	ready := 0
	for _, h := range l.heirs {
		if h.takes() && h.hasRoom() {
			ready++
		}
	}
	for _, h := range l.heirs {
		if len(gifts) > 0 && h.takes() && h.hasRoom() {
			share := (len(gifts) + ready - 1) / ready
			gifts = gifts[h.give(gifts[:share]):]
			ready--
		}
	}
	if len(l.heirs) > 1 { // or the first would get all that comes one by one
		l.heirs = append(l.heirs[1:], l.heirs[0])
	}
	if l.HeirsTake() {
		l.gifts = append(l.gifts, gifts...)
		return
	}
	for _, token := range gifts {
		if c := l.registry.conn(token); c != nil {
			c.withdraw()
		}
	}
}

// HeirsTake says that what is offered now finds an heir, if not at once. On the loop
// only.
func (l *Loop) HeirsTake() bool {
	return slices.ContainsFunc(l.heirs, (*heir).takes)
}

// expectsHeirs says that another heir may come, or one that rests take again.
func (l *Loop) expectsHeirs() bool {
	d := &l.drain
	alive := slices.ContainsFunc(l.heirs, func(h *heir) bool { return !h.over })
	return d.inherited && !d.near && (alive || d.deadline != 0)
}

// hasHandOverWork says that there is something to give that does not have to wait.
func (l *Loop) hasHandOverWork() bool {
	return slices.ContainsFunc(l.heirs, func(h *heir) bool {
		return h.hasRoom() && (h.picks() || len(l.gifts) > 0 && h.takes())
	})
}

// stay has connections go on here that were given and not taken.
func (l *Loop) stay(tokens []Token) {
	for _, token := range tokens {
		l.registry.conn(token).stay()
	}
}

// endGivers ends the pairs by which we take.
func (l *Loop) endGivers() {
	for _, g := range l.givers {
		g.end()
	}
}

func (l *Loop) endPairs() {
	l.endGivers()
	for _, h := range l.heirs {
		h.end()
	}
	l.forgetPairs()
}

// forgetPairs forgets those that have ended.
func (l *Loop) forgetPairs() {
	l.heirs = slices.DeleteFunc(l.heirs, func(h *heir) bool { return h.over })
	l.givers = slices.DeleteFunc(l.givers, func(g *giver) bool { return g.over })
	if len(l.heirs)+len(l.givers) == 0 {
		l.mailbox = nil
	}
}

func (l *Loop) needMailbox() {
	if l.mailbox == nil {
		l.mailbox = newMailbox()
	}
}
