package worker

import (
	"errors"
	"fmt"
	"os"

	"prefork/ipc"
)

// portable is an engine whose connections can go on in another worker.
type portable interface {
	// Give hands connections over through one end of a pair, which is the engine's
	// from here on, also when there is an error. count 0: all, while it drains. Only
	// from a task.
	Give(fd, count int) error
	// Take takes those that come through the other end. Only from a task.
	Take(fd int) error
}

// handOver has the engine give or take connections through the socket that came with
// the message. It comes while this worker serves, and a Give also while it drains. What
// cannot be done costs a line and no connection: whoever is at the other end sees the
// pair end.
func (l *life) handOver(m ipc.Message, files []*os.File) {
	if err := l.begin(m, files); err != nil && !errors.Is(err, os.ErrClosed) {
		report(err)
	}
}

func (l *life) begin(m ipc.Message, files []*os.File) error {
	e, ok := l.engine.(portable)
	if !ok {
		received{files: files}.closeFiles()
		return fmt.Errorf("the master sent %T to an engine that hands nothing over", m)
	}
	fd, err := takeDescriptor(files[0]) // ipc promises that it is there
	if err != nil {
		return err
	}
	task := func() error { return e.Take(fd) }
	if give, ok := m.(ipc.Give); ok {
		task = func() error { return e.Give(fd, int(give.Count)) }
	}
	err = l.engine.Post(func() {
		if err := task(); err != nil && !errors.Is(err, os.ErrClosed) { // closed: it drains, and takes nothing any more
			report(err)
		}
	})
	if err != nil {
		closeAll([]int{fd})
	}
	return err
}
