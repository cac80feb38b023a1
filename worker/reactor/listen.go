package reactor

import (
	"fmt"
	"os"
)

// Listen adds a listening socket. The descriptor stays the caller's, who keeps
// it open until Run has returned, or left was called (see Drain). It is made
// non-blocking if it is not: that belongs to the open file, so every other
// holder sees it (likewise Config.ClientFirst). Errors: fd is no listening socket; os.ErrClosed while
// draining; what the kernel refuses.
func (l *Loop) Listen(fd int) error {
	if l.drain.begun {
		return fmt.Errorf("listen on fd %d: the loop drains: %w", fd, os.ErrClosed)
	}
	_, err := l.addListener(fd, nil)
	if err == nil && l.config.ClientFirst {
		deferAccept(fd)
	}
	return err
}

func (l *Loop) addListener(fd int, s *sibling) (*listener, error) {
	if err := prepareListener(fd); err != nil {
		return nil, fmt.Errorf("listen on fd %d: %w", fd, err)
	}
	ls := &listener{loop: l, fd: fd, sibling: s}
	ls.retry.fire = ls.resume
	ls.token = l.registry.addListener(ls)
	if err := ls.watch(); err != nil {
		l.registry.removeListener(ls.token)
		return nil, err
	}
	l.listeners = append(l.listeners, ls)
	return ls, nil
}
