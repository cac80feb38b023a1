package control

import (
	"context"
	"errors"
	"time"
)

// Backend is what stands behind the socket: the master. Its methods are called
// from many goroutines at once and return soon after ctx ends.
type Backend interface {
	// Status tells how things stand.
	Status(ctx context.Context) (Status, error)
	// Do carries out a command and returns when it is decided. ctx ends when
	// the client vanishes; the command itself need not stop then. An error means
	// that there is no answer; a refusal is an Answer.
	Do(ctx context.Context, c Command) (Answer, error)
	// Subscribe gives the kept events of the last `since`, then live ones.
	Subscribe(since time.Duration) Subscription
}

// Subscription is a stream of events for one follower, who calls Next from one
// goroutine and Close once.
type Subscription interface {
	// Next waits for an event. It returns ctx's error when ctx ends, io.EOF when
	// the master has ended, and ErrSlow when this follower did not keep up and
	// gets no more.
	Next(ctx context.Context) (Event, error)
	// Close ends the subscription. It may be called from any goroutine.
	Close()
}

// ErrSlow ends the subscription of a follower that did not keep up.
var ErrSlow = errors.New("events were dropped because they were not read in time")

// Command is what an operator wants done.
type Command struct {
	Verb Verb
	// Timeout is how long a reload or an upgrade may take before it is rolled
	// back; 0 leaves that to the master. Other verbs take none.
	Timeout time.Duration
	// Workers is for scale: "4", "+1" or "-1".
	Workers string
	// Now is for stop: do not wait for what is in flight.
	Now bool
}

// Verb names a command; its path is /v1/ and the verb.
type Verb string

// The commands.
const (
	Reload  Verb = "reload"
	Scale   Verb = "scale"
	Upgrade Verb = "upgrade"
	Stop    Verb = "stop"
	Reopen  Verb = "reopen"
)
