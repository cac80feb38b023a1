package master

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/process"
	"prefork/master/supervise"
)

// ours is the talk with a worker of our own: see package ipc.
type ours struct {
	child    *child
	conn     *ipc.Conn
	board    *ipc.Scoreboard
	bell     *ipc.Bell // the master's
	theirs   *os.File  // the worker's end of conn, until it has started
	settings []byte
	listened int       // how often it said that it listens; hear's own
	begun    time.Time // when it was started
	spoilt   bool      // the scoreboard was overwritten, and that was said

	// stranger complains about a program that need not say hello; nil: it must.
	stranger func(*child, string)

	greeted   atomic.Bool  // it has said hello
	asked     atomic.Int32 // Watches that it has not answered
	saidReady atomic.Bool
	wanted    atomic.Bool                    // it is to serve
	telling   sync.Mutex                     // held while it is told so
	served    bool                           // and was
	dismissed atomic.Pointer[supervise.Time] // until when it had to leave, told by a signal only
}

func newOurs(settings []byte, bell *ipc.Bell) (*ours, error) {
	board, err := ipc.NewScoreboard()
	if err != nil {
		return nil, err
	}
	mine, theirs, err := ipc.Pair()
	if err != nil {
		board.Close()
		return nil, err
	}
	return &ours{conn: mine, board: board, bell: bell, theirs: theirs, settings: settings, begun: time.Now()}, nil
}

func (o *ours) furnish(s *process.Spec) { s.IPC = o.theirs }

// started closes the worker's end here, or its end of file would never be seen.
func (o *ours) started(c *child) {
	o.child = c
	o.closeTheirs()
}

func (o *ours) closeTheirs() {
	_ = o.theirs.Close() // nothing was sent through it
}

// listeningMax is how often a worker may say that it listens, and once more each
// second: it does so after each shortage that put its sockets out of its loop.
const listeningMax = 64

// hear takes messages until the channel ends. Each kind may come once in a life,
// Watched once for each Watch and Listening within its rate, so a worker cannot
// flood the loop.
func (o *ours) hear() {
	seen := map[ipc.Kind]bool{}
	for {
		m, files, err := o.conn.Receive()
		for _, f := range files {
			f.Close()
		}
		if err == nil {
			err = o.accept(m, seen)
		}
		if err != nil {
			o.conn.Close()
			o.hearFailed(err)
			return
		}
	}
}

// endTimeout is how long after the end of its channel a worker may live on.
const endTimeout = time.Second

// hearFailed reports a broken protocol. The end of the channel is none, when the
// exit follows. A worker that lives on has dropped its master, and would serve as an
// orphan that nobody can tell anything.
func (o *ours) hearFailed(err error) {
	c := o.child
	var broken *ipc.ProtocolError
	switch {
	case o.stranger != nil && !o.greeted.Load():
		o.strangerFailed(err)
	case errors.As(err, &broken):
		c.post(supervise.WorkerMisbehaved{ID: c.id, Reason: broken.Reason})
	case err == io.EOF:
		patience := time.NewTimer(endTimeout)
		defer patience.Stop()
		select {
		case <-c.exited:
		case <-patience.C:
			if c.told.Load() { // it has nothing more to say, and nothing more to hear
				return
			}
			c.post(supervise.WorkerMisbehaved{ID: c.id, Reason: "it has closed the channel to its master, and lives on"})
		}
	}
}

// accept handles one message of the worker.
func (o *ours) accept(m ipc.Message, seen map[ipc.Kind]bool) error {
	kind := ipc.KindOf(m)
	if seen[kind] && kind != ipc.KindWatched && kind != ipc.KindListening {
		return &ipc.ProtocolError{Reason: fmt.Sprintf("a second %v", kind)}
	}
	if kind != ipc.KindHello && !seen[ipc.KindHello] {
		return &ipc.ProtocolError{Reason: fmt.Sprintf("%v before hello", kind)}
	}
	seen[kind] = true
	c := o.child
	switch m := m.(type) {
	case ipc.Hello:
		o.greeted.Store(true)
		if o.stranger != nil {
			c.post(supervise.WorkerSaidHello{ID: c.id})
		}
		return o.greet(m)
	case ipc.Ready:
		o.saidReady.Store(true)
		err := o.tellToServe() // BEFORE the machine hears of it: nobody takes connections before Serve
		c.post(supervise.WorkerSaidReady{ID: c.id, Protocol: m.Protocol})
		if err != nil {
			return &ipc.ProtocolError{Reason: err.Error()}
		}
	case ipc.Listening:
		if o.listened++; o.listened > listeningMax+int(time.Since(o.begun)/time.Second) {
			return &ipc.ProtocolError{Reason: "it says too often that it listens"}
		}
		c.post(supervise.WorkerSaidListening{ID: c.id})
	case ipc.Watched:
		return o.watched(m)
	case ipc.Left:
		c.post(supervise.WorkerSaidLeft{ID: c.id})
	case ipc.Leaving: // somebody else told it, by a signal for example
		c.told.Store(true)
		c.post(supervise.WorkerSaidLeaving{ID: c.id, Reason: m.Reason})
	default:
		return &ipc.ProtocolError{Reason: fmt.Sprintf("%v is the master's to say", kind)}
	}
	return nil
}

// greet answers a hello. Who was told to leave before that was told by a signal, which
// it may not have heeded.
func (o *ours) greet(h ipc.Hello) error {
	if err := o.welcome(h); err != nil {
		return err
	}
	if deadline := o.dismissed.Load(); deadline != nil {
		o.drain(*deadline)
	}
	return nil
}

func (o *ours) welcome(h ipc.Hello) error {
	version, ok := h.Agree()
	if !ok {
		return &ipc.ProtocolError{Reason: fmt.Sprintf("it speaks versions %d to %d, this master %d to %d", h.MinVersion, h.MaxVersion, ipc.MinVersion, ipc.Version)}
	}
	id := o.child.id
	return o.conn.Send(ipc.Welcome{
		Version: version, Slot: uint32(id.Slot), Incarnation: id.Incarnation,
		Generation: o.child.generation, Settings: o.settings,
	}, o.board.FD(), o.bell.FD())
}

func (o *ours) serve() error {
	o.wanted.Store(true)
	return o.tellToServe()
}

// tellToServe tells a worker once that is wanted and ready: one that says hello when
// it had counted as ready is wanted before. It finds the channel ended when the worker
// has just died or left: hear says so.
func (o *ours) tellToServe() error {
	o.telling.Lock() // whoever finds that it was told can rely on that
	defer o.telling.Unlock()
	if !o.wanted.Load() || !o.saidReady.Load() || o.served {
		return nil
	}
	o.served = true
	err := o.conn.Send(ipc.Serve{})
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return o.hangUp(err)
}

// hangUp ends the talk with a worker that could not be told something.
func (o *ours) hangUp(err error) error {
	if err == nil {
		return nil
	}
	o.conn.Close()
	return fmt.Errorf("it does not take messages: %w", err)
}

// drain asks by message, and by signal when nobody may read that: the channel
// was closed, or the program has not said hello, and perhaps never will.
func (o *ours) drain(deadline supervise.Time) {
	err := o.conn.Send(ipc.Drain{Deadline: int64(deadline)})
	if err != nil || !o.greeted.Load() {
		o.child.signal(unix.SIGTERM)
	}
}

// beat reads the scoreboard. When that was overwritten the channel is closed:
// without heartbeats the worker can no longer be judged, and it is told to leave
// by signal. Who has said ready has a heart, whatever that says: a zero is no way
// out.
func (o *ours) beat() (supervise.Beat, bool, error) {
	if o.spoilt {
		return supervise.Beat{}, false, nil
	}
	counters, err := o.board.Read()
	if err != nil {
		o.spoilt = true
		o.conn.Close()
		return supervise.Beat{}, false, err
	}
	beat := supervise.Beat{ID: o.child.id, Value: counters.Beat, Connections: int(counters.Connections)} // whatever it says
	return beat, o.saidReady.Load(), nil
}

func (o *ours) counters() ipc.Counters {
	n, err := o.board.Read()
	if err != nil {
		return ipc.Counters{} // beat reports it
	}
	return n
}

func (o *ours) said() string { return "" }

func (o *ours) hearsEnd() bool { return true }

func (o *ours) mute() { _ = o.conn.Close() }

func (o *ours) release() {
	o.closeTheirs() // a second time when it has started, which does nothing
	o.mute()
	_ = o.board.Close() // nobody could use the error any more
}
