package reactor

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
)

// tasksMax bounds the tasks that wait for the loop, and so those of one turn.
const tasksMax = 4096

// ErrFull is returned by Post while too many tasks wait.
var ErrFull = errors.New("reactor: task queue is full")

// inbox is where other goroutines leave tasks for the loop.
type inbox struct {
	wake    func() error
	stirred atomic.Bool // take has something to do

	mu    sync.Mutex
	tasks []func()
	spare []func() // the slice that take gave out last
	ended bool
}

// put queues task and wakes the loop. Wake is called under the lock: after end
// the descriptor behind it is closed, and its number may be somebody else's.
func (b *inbox) put(task func(), limit int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return os.ErrClosed
	}
	if len(b.tasks) >= limit {
		return ErrFull
	}
	b.tasks = append(b.tasks, task)
	b.stirred.Store(true)
	return b.wake()
}

// take returns all waiting tasks; they are valid until the next take. Most turns
// find none, and no lock either.
func (b *inbox) take() []func() {
	if !b.stirred.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	tasks := b.tasks
	clear(b.spare) // let go of what the tasks held
	b.tasks, b.spare = b.spare[:0], tasks
	b.stirred.Store(len(tasks) > 0) // once more, to let go of these
	return tasks
}

// end refuses all further tasks. It comes BEFORE the poller's close.
func (b *inbox) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended, b.tasks, b.spare = true, nil, nil
}
