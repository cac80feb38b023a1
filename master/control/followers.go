package control

import (
	"context"
	"sync"
)

// followers are those who stay: the streams of events. They are few, and they
// are ended from outside when the server shuts down.
type followers struct {
	max    int
	mu     sync.Mutex
	ends   map[int]context.CancelFunc
	last   int
	closed bool
}

func newFollowers(limit int) followers {
	return followers{max: limit, ends: make(map[int]context.CancelFunc)}
}

// join counts a follower in, unless there are too many. The follower calls leave
// when it goes; end is called when it should.
func (f *followers) join(end context.CancelFunc) (leave func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.ends) >= f.max {
		return nil, false
	}
	f.last++
	id := f.last
	f.ends[id] = end
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.ends, id)
	}, true
}

func (f *followers) endAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, end := range f.ends {
		end()
	}
}
