package reactor

import (
	"fmt"
	"os"
)

// sibling is what the loop watches for one of its siblings: the sockets of one
// call of Help.
type sibling struct {
	loop      *Loop
	number    int
	listeners []*listener
	watched   int // how many of them are not gone
	left      []func()
}

// Help accepts from the listening sockets of a sibling beside our own, and stands
// behind everybody who watches them already: the kernel asks in the order in which
// they came. The number is the caller's name for the sibling. What was watched for
// it before is replaced, which also takes us to the end of the line again. On the
// loop only.
//
// The descriptors stay the caller's, who keeps them open until left is called
// (nil: nobody to tell). That is once, on the loop, when none of them is in the
// loop any more: they were replaced or let go, all of them have been shut down, a
// drain has emptied them (before it says left itself), or the loop ends. It may be
// called within Help, for those that are replaced, and may close them.
//
// Without descriptors Help lets go: the sockets leave the poller and what waits in
// them is accepted. This call's left follows that of the sockets, or comes at once
// if there are none.
//
// With an error nothing has changed, and left is not called. Errors: os.ErrClosed
// while draining; fd is no listening socket; what the kernel refuses.
func (l *Loop) Help(number int, fds []int, left func()) error {
	if l.drain.begun {
		return fmt.Errorf("help sibling %d: the loop drains: %w", number, os.ErrClosed)
	}
	before := l.siblings[number]
	if len(fds) == 0 {
		before.letGo(left)
		return nil
	}
	// AFTER this, what waits in the old sockets shows in the new ones, where they
	// are the same.
	s, err := l.watchSibling(number, fds)
	if err != nil {
		return fmt.Errorf("help sibling %d: %w", number, err)
	}
	if left != nil {
		s.left = append(s.left, left)
	}
	l.siblings[number] = s
	before.stepBack()
	return nil
}

func (l *Loop) watchSibling(number int, fds []int) (*sibling, error) {
	s := &sibling{loop: l, number: number}
	for _, fd := range fds {
		ls, err := l.addListener(fd, s)
		if err != nil {
			s.drop()
			return nil, err
		}
		s.listeners = append(s.listeners, ls)
		s.watched++
	}
	return s, nil
}

// letGo has the sockets leave, then calls left.
func (s *sibling) letGo(left func()) {
	if left == nil {
		left = func() {}
	}
	if s == nil {
		left()
		return
	}
	s.left = append(s.left, left)
	for _, ls := range s.listeners {
		ls.leave()
	}
}

// stepBack gives up the sockets for others, without emptying them: the sibling
// whose they are may have been replaced just now, and its queue would be ours
// alone. One connection is what we may have been woken for and not accepted yet;
// who came later found us awake, and others were told. What is being let go goes on
// to be emptied.
func (s *sibling) stepBack() {
	if s == nil {
		return
	}
	for _, ls := range s.listeners {
		if ls.leaving {
			continue
		}
		if ls.watched() {
			ls.serve()
		}
		ls.drop()
	}
}

func (s *sibling) drop() {
	for _, ls := range s.listeners {
		ls.drop()
	}
}

// lose notes that a socket has gone; with the last one the sibling is forgotten.
func (s *sibling) lose() {
	s.watched--
	if s.watched > 0 {
		return
	}
	if s.loop.siblings[s.number] == s {
		delete(s.loop.siblings, s.number)
	}
	for _, left := range s.left {
		left()
	}
	s.left = nil
}
