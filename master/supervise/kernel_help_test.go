package supervise

import "time"

// What the fake kernel does about workers that watch each other's sockets, about
// queues, and about slots that are emptied.

// greet has a worker say that it is one of our own.
func (k *kernel) greet(t *task) {
	if !k.alive(t) {
		return
	}
	if _, w := k.m.find(t.id); w != nil && (w.State == Standby || w.State == Ready) {
		k.saw(greetsLate)
	}
	t.own = true
	k.tell(WorkerSaidHello{ID: t.id})
}

// listen has a worker of our own say that its sockets are in its loop: soon, too
// late for the siblings to wait for, or never.
func (k *kernel) listen(t *task) {
	if !t.own || !t.ready || t.silent {
		return
	}
	soon := k.between(0, 5*time.Millisecond)
	if k.one(8) {
		soon = k.between(listenGrace/2, 3*listenGrace)
	}
	k.after(soon, func() {
		if !k.alive(t) || t.hung > 0 {
			return
		}
		if _, w := k.m.find(t.id); w.State == Ready && k.now-w.Since >= listenGrace {
			k.saw(listensLate)
		} else if w.State > Ready {
			k.saw(listensWhileLeaving)
		}
		k.tell(WorkerSaidListening{ID: t.id})
		if k.one(10) {
			k.after(k.between(0, 2*time.Second), func() { k.listenAgain(t) })
		}
	})
}

// listenAgain has a worker say that it had to leave the line for a while.
func (k *kernel) listenAgain(t *task) {
	if k.alive(t) && t.hung == 0 {
		k.m.eachWatching(t.id.Slot, func(*worker, int) { k.saw(listensAgain) })
		k.tell(WorkerSaidListening{ID: t.id})
	}
}

// answer has a worker say that it has done what it was asked, once, twice, or
// never.
func (k *kernel) answer(t *task, slot int) {
	if t.silent || t.hung > 0 {
		k.saw(neverWatches)
		return
	}
	soon := k.between(0, 20*time.Millisecond)
	if k.one(10) {
		soon = k.between(0, 2*time.Second)
	}
	k.after(soon, func() {
		if !k.alive(t) || t.hung > 0 {
			return
		}
		k.observeAnswer(t, slot)
		k.tell(WorkerSaidWatched{ID: t.id, Slot: slot})
		if k.one(60) && k.alive(t) {
			k.saw(watchesTwice)
			k.tell(WorkerSaidWatched{ID: t.id, Slot: slot})
		}
	})
}

func (k *kernel) observeAnswer(t *task, slot int) {
	_, w := k.m.find(t.id)
	i := watchOf(w, slot)
	switch {
	case i < 0: // it leaves
	case slot >= len(k.m.Slots):
		k.saw(watchesWhatHasClosed)
	case !w.Watches[i].Ending && k.m.Slots[slot].Serving != nil && k.m.Slots[slot].Serving.ID.Incarnation != w.Watches[i].Owner:
		k.saw(ownerReplacedMeanwhile)
	}
}

// hang stops a loop, or the process.
func (k *kernel) hang(t *task) {
	t.hung = k.now
	k.childChanged()
}

// childChanged raises SIGCHLD, unless one that came just before says it too.
func (k *kernel) childChanged() {
	if k.random.IntN(3) > 0 {
		k.tell(SignalReceived{Signal: SIGCHLD})
	}
}

// look counts what waits in the queues. In a bad world it waits for long, and the
// answer is of another time.
func (k *kernel) look() {
	ev := QueuesSampled{Moved: k.one(20)}
	for range k.m.Slots {
		waiting := 0
		if k.one(30) {
			waiting = k.random.IntN(3)
		}
		ev.Waiting = append(ev.Waiting, waiting)
	}
	switch {
	case k.one(100):
		ev.Waiting = ev.Waiting[:len(ev.Waiting)/2]
	case k.one(100):
		ev.Waiting = append(ev.Waiting, -1)
	}
	for n, s := range k.m.Slots {
		if s.Queued && n < len(ev.Waiting) && ev.Waiting[n] > 0 {
			k.saw(queueStands)
		}
	}
	k.tell(ev)
}

// empty says that nothing waits in a slot any more: at once, later, perhaps when
// it is wanted again, or when its time is over.
func (k *kernel) empty(a EmptySlot) {
	soon := k.between(0, 10*time.Millisecond)
	if k.one(3) {
		soon = a.Deadline - k.now
	}
	k.after(soon, func() {
		ev := SlotEmptied{Slot: a.Slot, Deadline: a.Deadline}
		if k.one(6) {
			ev.Left = 1 + k.random.IntN(3)
			k.saw(emptiedInVain)
		}
		if a.Slot < len(k.m.Slots) && k.m.Slots[a.Slot].EmptyBy != a.Deadline {
			k.saw(emptiedAndWantedAgain)
		}
		k.tell(ev)
	})
}

// mend shuts down a slot's sockets, and has them listen again.
func (k *kernel) mend() {
	slot := k.random.IntN(5)
	k.m.eachWatching(slot, func(*worker, int) { k.saw(socketsMended) })
	k.tell(SocketsMended{Slot: slot})
}
