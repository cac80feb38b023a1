package control

import (
	"context"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// keptMax is how many events the hub keeps for those who ask what happened
	// before they came.
	keptMax = 1000
	// queueMax is how many live events may wait for one follower. It is more
	// than a reload of 64 workers makes; beyond it the follower is dropped.
	queueMax = 256
)

// Hub hands each published event to every follower. Its methods may be called
// from any goroutine, and Publish never blocks.
type Hub struct {
	mu        sync.Mutex
	kept      []Event // a ring once it is full: oldest is then the first in time
	oldest    int
	followers map[*follower]struct{}
	closed    bool
}

// NewHub makes a hub that has kept nothing and has no followers.
func NewHub() *Hub {
	return &Hub{followers: make(map[*follower]struct{})}
}

// Publish gives e to all followers and keeps it. A zero Time becomes now. A
// follower whose queue is full is dropped; after Close nothing happens.
func (h *Hub) Publish(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.keepLocked(e)
	for f := range h.followers {
		select {
		case f.liveC <- e:
		default:
			h.endLocked(f, ErrSlow)
		}
	}
}

// Subscribe gives the kept events of the last `since`, then live ones, without a
// gap or an overlap between them. After Close it gives io.EOF behind the kept
// events.
func (h *Hub) Subscribe(since time.Duration) Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &follower{hub: h, kept: h.sinceLocked(time.Now().Add(-since)), liveC: make(chan Event, queueMax)}
	h.followers[f] = struct{}{}
	if h.closed {
		h.endLocked(f, io.EOF)
	}
	return f
}

// Close gives every follower io.EOF behind what it has not read yet.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for f := range h.followers {
		h.endLocked(f, io.EOF)
	}
}

func (h *Hub) keepLocked(e Event) {
	if len(h.kept) < keptMax {
		h.kept = append(h.kept, e)
		return
	}
	h.kept[h.oldest] = e
	h.oldest = (h.oldest + 1) % keptMax
}

func (h *Hub) sinceLocked(start time.Time) []Event {
	var list []Event
	for i := range h.kept {
		if e := h.kept[(h.oldest+i)%len(h.kept)]; e.Time.After(start) {
			list = append(list, e)
		}
	}
	return list
}

// endLocked lets a follower read what it has, then err.
func (h *Hub) endLocked(f *follower, err error) {
	if _, follows := h.followers[f]; !follows {
		return
	}
	delete(h.followers, f)
	f.err = err
	close(f.liveC)
}

// follower is one Subscription. The hub writes err BEFORE it closes liveC, and
// Next reads it AFTER it has seen the close, so err needs no lock.
type follower struct {
	hub   *Hub
	kept  []Event // not read yet; only Next uses it
	liveC chan Event
	err   error
}

func (f *follower) Next(ctx context.Context) (Event, error) {
	if len(f.kept) > 0 {
		e := f.kept[0]
		f.kept = f.kept[1:]
		return e, nil
	}
	select {
	case e, live := <-f.liveC:
		if !live {
			return Event{}, f.err
		}
		return e, nil
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

func (f *follower) Close() {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.hub.endLocked(f, os.ErrClosed)
}
