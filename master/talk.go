package master

import (
	"prefork/ipc"
	"prefork/master/process"
	"prefork/master/supervise"
)

// talk is how one worker and the master understand each other. A worker of ours
// has a message socket and a scoreboard; any other program has sd_notify(3) and
// signals; a COMMAND may be either.
type talk interface {
	// furnish adds to what the worker starts with.
	furnish(*process.Spec)
	// started comes once, AFTER the process exists and BEFORE hear.
	started(*child)
	// hear turns what the worker says into events. It returns after mute.
	hear()
	// serve tells the worker to accept.
	serve() error
	// drain asks the worker to leave. It is for any goroutine.
	drain(deadline supervise.Time)
	// beat reads the worker's heart, if it has one. An error says that it was
	// spoilt: it comes once.
	beat() (b supervise.Beat, beats bool, err error)
	// counters are what the worker tells about its work; zeros when it does not.
	counters() ipc.Counters
	// said is what the worker last said about itself, for people.
	said() string
	// hearsEnd tells whether hear returns by itself when the worker has ended, AFTER
	// everything that it said.
	hearsEnd() bool
	// mute ends hear: whatever the worker says from now on is not heard. It may
	// come more than once, from any goroutine.
	mute()
	// release gives back what is left, AFTER hear has returned.
	release()
}
