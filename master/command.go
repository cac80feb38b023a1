package master

import (
	"errors"
	"fmt"
	"sync"

	"prefork/ipc"
	"prefork/master/process"
	"prefork/master/supervise"
)

// command is the talk with a COMMAND. It is given both ways to talk, since nobody
// knows which one it speaks: it is a foreign program until it says hello, and one of
// ours from then on.
type command struct {
	child   *child
	foreign *foreign
	ours    *ours
}

func newCommand(f *foreign, o *ours) *command {
	o.stranger, f.greeted = f.complain, &o.greeted
	return &command{foreign: f, ours: o}
}

// oursOf returns the talk with a worker of our own, nil with any other.
func oursOf(t talk) *ours {
	switch t := t.(type) {
	case *ours:
		return t
	case *command:
		if t.ours.greeted.Load() {
			return t.ours
		}
	}
	return nil
}

func (c *command) furnish(s *process.Spec) {
	c.foreign.furnish(s)
	c.ours.furnish(s)
}

func (c *command) started(child *child) {
	c.child = child
	c.foreign.started(child)
	c.ours.started(child)
}

// hear ends the notifications when the program has ended: a datagram socket has no
// end of its own.
func (c *command) hear() {
	var both sync.WaitGroup
	both.Go(c.foreign.hear)
	both.Go(c.ours.hear)
	<-c.child.exited
	c.foreign.mute()
	both.Wait()
}

// serve tells a foreign program nothing, which accepts as soon as it can. If it
// turns out to be ours, it is told when it is ready.
func (c *command) serve() error { return c.ours.serve() }

// drain tells a program by signal that has not said hello, and once more by message
// if it does.
func (c *command) drain(deadline supervise.Time) {
	c.ours.dismissed.Store(&deadline) // BEFORE the look: greet looks the other way round
	if c.ours.greeted.Load() {
		c.ours.drain(deadline)
		return
	}
	c.foreign.drain()
}

func (c *command) beat() (supervise.Beat, bool, error) {
	if c.ours.greeted.Load() {
		return c.ours.beat()
	}
	return c.foreign.beat()
}

func (c *command) counters() ipc.Counters { return c.ours.counters() }

func (c *command) said() string { return c.foreign.said() }

func (c *command) hearsEnd() bool { return true } // see hear

func (c *command) mute() {
	c.foreign.mute()
	c.ours.mute()
}

func (c *command) release() {
	c.foreign.mute()
	c.ours.release()
}

// strangerFailed says what a program did to the channel that it has not said hello
// on. Closing it is no news: many close what they do not know.
func (o *ours) strangerFailed(err error) {
	var broken *ipc.ProtocolError
	if errors.As(err, &broken) {
		o.stranger(o.child, fmt.Sprintf("what it wrote to %s is no hello: %s", ipc.EnvFD, broken.Reason))
	}
}
