package worker

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/worker/reactor"
)

// state is where a worker stands in its life: see the package comment.
type state string

const (
	starting  state = "starting"
	preparing state = "preparing"
	standby   state = "standby"
	serving   state = "serving"
	draining  state = "draining"
	gone      state = "gone"
)

// noDeadline lets a drain take as long as the timeouts of its connections do.
const noDeadline = 0

// wordTimeout is how long a worker that leaves of its own accord waits for the master
// to say whom it shall give its connections to. A master that is well says so at once.
const wordTimeout = time.Second

// life is a worker from its inheritance to its exit. The goroutine of run owns
// it; what others touch says so.
type life struct {
	conn      *ipc.Conn     // the engine says Left by it
	listeners []int         // the engine's from Serve or Drain on
	receivedC chan received // nil once the master is lost
	signalC   <-chan os.Signal
	orphanC   <-chan time.Time // fires when an orphan has served long enough; nil: no orphan
	wordC     <-chan time.Time // fires when the master's word was waited for long enough; nil: it is not
	engineC   chan offered     // an engine is about to run
	returnedC chan error       // serve has returned; it has room for that one result
	failedC   chan error       // the engine could not listen; it has room for that one error
	deafC     chan struct{}    // the engine has lost a listening socket; it has room for one such news

	state    state
	settings ipc.Settings
	board    *ipc.Scoreboard // the engine's from Welcome on
	bell     int             // likewise, until engineEnded; 0: none yet, see takeDescriptor

	serve       func(*Worker) error // the program's
	engine      engine              // nil before standby
	protocol    string              // what its connections speak, see ipc.Ready
	drains      bool                // the engine was told to
	engineEnded chan struct{}       // closed when the engine's Run has returned

	receiver sync.WaitGroup
	endC     chan struct{} // closed when this life is over: it ends the receiver
}

// newLife starts to listen to the master. The caller calls end.
func newLife(in inheritance, signalC <-chan os.Signal, serve func(*Worker) error) *life {
	l := &life{
		conn:        in.conn,
		listeners:   in.listeners,
		receivedC:   make(chan received),
		signalC:     signalC,
		engineC:     make(chan offered),
		returnedC:   make(chan error, 1),
		failedC:     make(chan error, 1),
		deafC:       make(chan struct{}, 1),
		engineEnded: make(chan struct{}),
		endC:        make(chan struct{}),
		serve:       serve,
		state:       starting,
	}
	l.receiver.Go(func() { receive(l.conn, l.receivedC, l.endC) })
	return l
}

// run says hello and takes one event after the other until this life is over.
func (l *life) run() error {
	hello := ipc.Hello{MinVersion: ipc.MinVersion, MaxVersion: ipc.Version, PID: int32(os.Getpid())}
	if err := l.conn.Send(hello); err != nil {
		return err
	}
	for l.state != gone {
		var err error
		select {
		case r := <-l.receivedC:
			err = l.hear(r)
		case s := <-l.signalC:
			l.leave(unix.SignalName(s.(syscall.Signal)))
		case <-l.deafC:
			l.becomeDeaf()
		case <-l.orphanC:
			l.becomeDraining(noDeadline)
		case <-l.wordC:
			l.becomeDraining(noDeadline)
		case e := <-l.engineC:
			err = l.becomeStandby(e)
		case err = <-l.failedC:
		case err = <-l.returnedC:
			err = l.becomeGone(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end stops what was started, in the order in which it depends on each other: the
// engine writes to the master. The scoreboard stays mapped until the process has gone:
// an errand that a drain has cut short may still count its answer.
func (l *life) end() {
	if l.engine != nil {
		l.engine.Drain(ipc.Monotonic(), nil) // at once; nothing happens if it has ended
		<-l.engineEnded
	}
	if l.bell != 0 {
		_ = unix.Close(l.bell) // nothing was written to it
	}
	close(l.endC)
	_ = l.conn.Close() // os.ErrClosed when the master was lost
	l.receiver.Wait()
}

// hear decides what a message means in the state that this life is in. What it
// has no meaning for is treated like garbage.
func (l *life) hear(r received) error {
	if r.err != nil {
		return l.loseMaster(r.err)
	}
	switch m := r.message.(type) {
	case ipc.Welcome:
		if l.state == starting {
			return l.becomePreparing(m, r.files[0], r.files[1]) // ipc promises that they are there
		}
	case ipc.Serve:
		switch l.state {
		case standby:
			return l.becomeServing()
		case draining: // it met our Leaving on the way
			return nil
		}
	case ipc.Watch:
		switch l.state {
		case serving:
			l.watch(m.Slot, r.files)
			return nil
		case draining: // likewise
			r.closeFiles()
			return nil
		}
	case ipc.Give, ipc.Take:
		switch l.state {
		case serving, draining: // a Take may meet our Leaving on the way
			l.handOver(m, r.files)
			return nil
		}
	case ipc.Drain:
		l.becomeDraining(m.Deadline)
		return nil
	}
	r.closeFiles()
	return l.loseMaster(fmt.Errorf("the master sent %T to a worker that is %s", r.message, l.state))
}

// leave drains of its own accord. The master hears it first, or the end of this
// worker would look like a crash. Who could give its connections to others waits for the
// master's word: by then it has been told to whom, and idle ones need not be closed.
func (l *life) leave(reason string) {
	if l.state == draining {
		return
	}
	l.tell(ipc.Leaving{Reason: reason})
	if l.state == serving && l.receivedC != nil && l.protocol != "" {
		l.state, l.wordC = draining, time.After(wordTimeout)
		return
	}
	l.becomeDraining(noDeadline)
}

// becomeDeaf makes room for a successor when somebody has shut down one of our
// listening sockets: the master may have it listen again, but not in our loop. An
// orphan gets no successor and serves on with what it has.
func (l *life) becomeDeaf() {
	if l.receivedC != nil {
		l.leave("its listening socket was shut down")
	}
}

// note is what the engine reports by, from any of its goroutines.
func (l *life) note(err error) {
	report(err)
	var lost *reactor.AcceptError
	if errors.As(err, &lost) && !lost.Paused {
		select {
		case l.deafC <- struct{}{}:
		default: // one such news is enough
		}
	}
}

func (l *life) becomeServing() error {
	l.state = serving
	if err := l.engine.Post(l.listen); err != nil {
		return fmt.Errorf("start serving: %w", err)
	}
	return nil
}

// listen runs on the engine. No drain overtakes it: the engine takes both in order.
// The sockets of a COMMAND block until now, since its predecessor may have been a
// program that wants them so. Listening comes AFTER our sockets are in the loop: the
// siblings that then watch them stand behind us. It is said again when a pause has
// put us behind them.
func (l *life) listen() {
	for _, fd := range l.listeners {
		err := unix.SetNonblock(fd, true)
		if err == nil {
			err = l.engine.Listen(fd)
		}
		if err != nil {
			l.failedC <- fmt.Errorf("start serving: %w", err)
			return
		}
	}
	l.tell(ipc.Listening{})
}

// becomeDraining ends this life in good order; the engine's end then ends run. A
// second drain may bring the deadline nearer.
func (l *life) becomeDraining(deadline int64) {
	switch l.state {
	case starting, preparing:
		l.state = gone // nobody has come, so there is nobody to finish with
	default:
		left := l.haveLeft
		if l.drains {
			left = nil
		}
		l.state, l.drains = draining, true
		l.orphanC, l.wordC = nil, nil
		l.engine.Drain(deadline, left)
	}
}

// haveLeft runs on the engine, when the listening sockets are out of it and empty;
// the siblings' are closed by then, see help. They are closed BEFORE the master
// hears of it: a slot can be retired only when no worker holds a copy of its socket
// any more.
func (l *life) haveLeft() {
	closeAll(l.listeners)
	l.listeners = nil
	l.tell(ipc.Left{})
}

// loseMaster drops a master that has died or makes no sense. Closing the
// connection tells the latter, who sees the end of the file.
func (l *life) loseMaster(cause error) error {
	_ = l.conn.Close() // nothing more will come or go
	l.receivedC = nil
	switch l.state {
	case starting, preparing, standby:
		return fmt.Errorf("%w: this worker exits, it has served nobody yet", cause)
	case serving:
		patience := l.settings.OrphanTimeout
		report(fmt.Errorf("%w: serving on without a master for %v, then draining", cause, patience))
		l.orphanC = time.After(patience)
	case draining:
		report(fmt.Errorf("%w: draining on without a master", cause))
		if !l.drains { // its word will not come
			l.becomeDraining(noDeadline)
		}
	}
	return nil
}

// tell sends what the master can do without: this worker's exit says the same,
// later. That the master has gone is no news here: run hears it as the end of
// the file.
func (l *life) tell(m ipc.Message) {
	if err := l.conn.Send(m); err != nil && !errors.Is(err, os.ErrClosed) {
		report(err)
	}
}
