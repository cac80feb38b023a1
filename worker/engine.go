package worker

import (
	"prefork/ipc"
	"prefork/worker/goroutines"
	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// engine is what serves: it accepts connections and has an app answer them, until
// it is drained. A life knows no more about it.
type engine interface {
	// Run serves until a drain is complete (nil), or it cannot go on.
	Run() error
	// Post has the engine run task once, in the order of the calls and before any
	// later drain. It never blocks.
	Post(task func()) error
	// Listen adds a listening socket, which stays the caller's. Only from a task.
	Listen(fd int) error
	// Help watches the sockets of a sibling in place of those that it has watched
	// for it; without any it lets go. They stay the caller's, and left is called
	// when the engine has done with them. Only from a task.
	Help(sibling int, fds []int, left func()) error
	// Give hands connections over to another worker through one end of a pair, which
	// is the engine's from here on, also when there is an error. count 0: all, while it
	// drains. Take takes those that come through the other end. Only from a task.
	Give(fd, count int) error
	Take(fd int) error
	// Drain makes the engine end: no connection more, and left (if there is one)
	// when those that waited have been accepted; at deadline (CLOCK_MONOTONIC, ns;
	// 0: none) whatever is still open is closed.
	Drain(deadline int64, left func())
}

var (
	_ engine = (*reactor.Loop)(nil)
	_ engine = (*goroutines.Engine)(nil)
)

// offered is an engine, and what its connections speak: see ipc.Ready.
type offered struct {
	engine
	protocol string
}

// engineConfig is what an engine needs from its worker.
type engineConfig struct {
	settings ipc.Settings
	self     proto.Hello
	board    *ipc.Scoreboard
	bell     int
	report   func(error) // from any goroutine
	requeued func()      // siblings stand before us
}

// accepted and the like put the numbers of an engine on the scoreboard.
func (c engineConfig) accepted(n int)    { c.board.AddAccepted(uint64(n)) }
func (c engineConfig) helped(n int)      { c.board.AddHelped(uint64(n)) }
func (c engineConfig) connections(n int) { c.board.SetConnections(uint64(n)) }
func (c engineConfig) given(n int)       { c.board.AddGiven(uint64(n)) }
func (c engineConfig) taken(n int)       { c.board.AddTaken(uint64(n)) }
func (c engineConfig) finished(n int)    { c.board.AddFinished(uint64(n)) }
func (c engineConfig) cut(n int)         { c.board.AddCut(uint64(n)) }
func (c engineConfig) answered()         { c.board.AddRequests(1) }

// identity is empty unless the answers shall tell who gave them.
func (c engineConfig) identity() string {
	if c.settings.Identify {
		return c.self.Identity()
	}
	return ""
}
