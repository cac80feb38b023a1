package worker

import (
	"errors"
	"fmt"
	"os"

	"prefork/ipc"
)

// watch has the engine accept from the sockets of a sibling's slot, or let go of
// them when none came.
func (l *life) watch(slot uint32, files []*os.File) {
	fds, err := takeDescriptors(files)
	if err != nil {
		l.watched(slot, err)
		return
	}
	if err := l.engine.Post(func() { l.help(slot, fds) }); err != nil {
		closeAll(fds)
		l.watched(slot, err)
	}
}

// help runs on the engine. The descriptors are ours to close as soon as the engine
// has done with them: in a drain that is before haveLeft.
func (l *life) help(slot uint32, fds []int) {
	if len(fds) == 0 {
		// AFTER what waits was accepted: the master may close the slot then.
		err := l.engine.Help(int(slot), nil, func() { l.watched(slot, nil) })
		if err != nil {
			l.watched(slot, err)
		}
		return
	}
	err := l.engine.Help(int(slot), fds, func() { closeAll(fds) })
	if err != nil {
		closeAll(fds)
	}
	l.watched(slot, err)
}

// watched answers a Watch. One that fails is answered, too: the master waits for it
// before it sends the next one, and a worker that cannot help is none to replace.
func (l *life) watched(slot uint32, err error) {
	if errors.Is(err, os.ErrClosed) {
		return // it drains: the master has forgotten what it watches
	}
	if err != nil {
		report(fmt.Errorf("watch the sockets of slot %d: %w: this worker does not help there", slot, err))
	}
	l.tell(ipc.Watched{Slot: slot})
}
