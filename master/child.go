package master

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/process"
	"prefork/master/supervise"
)

// wordsTimeout is how long the end of a child waits for the end of its output:
// a grandchild may hold the pipe open for ever.
const wordsTimeout = 250 * time.Millisecond

// child is what the shell keeps of one incarnation, from spawn to exit.
type child struct {
	id         supervise.WorkerID
	generation uint64
	revision   uint64
	process    *process.Process
	conn       *ipc.Conn
	board      *ipc.Scoreboard
	garbage    bool // its scoreboard was overwritten, and that was said
	settings   []byte
	greeted    atomic.Bool // it has said hello
	saidReady  atomic.Bool
	told       atomic.Bool // it was asked to leave, or made to

	post     func(supervise.Event) // to the loop; returns at once when that has ended
	print    func(c *child, stream, line string, dropped int)
	outputs  *outputs // that are being read, of all children
	words    process.Tail
	errsDone chan struct{} // closed when stderr was read to its end
	received chan struct{} // closed when nobody reads the channel any more
}

// watch starts the child's goroutines. Run waits for all of them.
func (c *child) watch(run func(func())) {
	run(func() {
		defer close(c.received)
		c.receive()
	})
	run(func() { c.read("stdout", c.process.Stdout, nil) })
	run(func() {
		defer close(c.errsDone)
		c.read("stderr", c.process.Stderr, &c.words)
	})
	run(c.reap)
}

// read passes the child's output on, line by line.
func (c *child) read(stream string, from io.ReadCloser, keep io.Writer) {
	c.outputs.add(from)
	defer c.outputs.close(from)
	var r io.Reader = from
	if keep != nil {
		r = io.TeeReader(from, keep)
	}
	// The error is the end of the output, which is all that is left to learn.
	_ = process.Lines(r, func(line string, dropped int) { c.print(c, stream, line, dropped) })
}

// reap waits for the child's end and reports it with its last words, AFTER
// everything that it said on its channel.
func (c *child) reap() {
	status := c.process.Wait()
	patience := time.NewTimer(wordsTimeout)
	defer patience.Stop()
	for _, done := range []<-chan struct{}{c.errsDone, c.received} {
		select {
		case <-done:
		case <-patience.C:
			patience.Reset(0)
		}
	}
	c.conn.Close() // a grandchild may hold the other end
	<-c.received   // nobody uses the channel or the scoreboard any more
	c.post(supervise.WorkerExited{ID: c.id, Reason: c.explain(status), Words: c.words.String()})
}

// explain puts an exit into words. A program that goes into the background on
// its own looks like a success, and nobody would know what to do about it.
func (c *child) explain(status process.Status) string {
	if status == (process.Status{}) && !c.saidReady.Load() && !c.told.Load() {
		return "a worker must stay in the foreground, and this one left with " + status.String()
	}
	return status.String()
}

// receive turns the worker's messages into events until its channel ends. Each
// message may come once in a life, so a worker cannot flood the loop.
func (c *child) receive() {
	seen := map[ipc.Kind]bool{}
	for {
		m, files, err := c.conn.Receive()
		for _, f := range files {
			f.Close()
		}
		if err == nil {
			err = c.accept(m, seen)
		}
		if err != nil {
			c.conn.Close()
			c.receiveFailed(err)
			return
		}
	}
}

// receiveFailed reports a broken protocol. The end of the channel is none: the
// exit follows, or the worker lives on and misses its heartbeats.
func (c *child) receiveFailed(err error) {
	var broken *ipc.ProtocolError
	if errors.As(err, &broken) {
		c.post(supervise.WorkerMisbehaved{ID: c.id, Reason: broken.Reason})
	}
}

// accept handles one message of the worker.
func (c *child) accept(m ipc.Message, seen map[ipc.Kind]bool) error {
	kind := ipc.KindOf(m)
	if seen[kind] {
		return &ipc.ProtocolError{Reason: fmt.Sprintf("a second %v", kind)}
	}
	if kind != ipc.KindHello && !seen[ipc.KindHello] {
		return &ipc.ProtocolError{Reason: fmt.Sprintf("%v before hello", kind)}
	}
	seen[kind] = true
	switch m := m.(type) {
	case ipc.Hello:
		c.greeted.Store(true)
		return c.welcome(m)
	case ipc.Ready:
		c.saidReady.Store(true)
		c.post(supervise.WorkerSaidReady{ID: c.id})
	case ipc.Left:
		c.post(supervise.WorkerSaidLeft{ID: c.id})
	case ipc.Leaving:
		c.told.Store(true) // by somebody else, a signal for example
		c.post(supervise.WorkerSaidLeaving{ID: c.id, Reason: m.Reason})
	default:
		return &ipc.ProtocolError{Reason: fmt.Sprintf("%v is the master's to say", kind)}
	}
	return nil
}

func (c *child) welcome(h ipc.Hello) error {
	version, ok := h.Agree()
	if !ok {
		return &ipc.ProtocolError{Reason: fmt.Sprintf("it speaks versions %d to %d, this master %d to %d", h.MinVersion, h.MaxVersion, ipc.MinVersion, ipc.Version)}
	}
	return c.conn.Send(ipc.Welcome{
		Version: version, Slot: uint32(c.id.Slot), Incarnation: c.id.Incarnation,
		Generation: c.generation, Settings: c.settings,
	}, c.board.FD())
}

// drain asks by message, and by signal when nobody may read that: the channel
// was closed, or the program has not said hello, and perhaps never will.
func (c *child) drain(deadline supervise.Time) {
	c.told.Store(true)
	err := c.conn.Send(ipc.Drain{Deadline: int64(deadline)})
	if err != nil || !c.greeted.Load() {
		c.signal(unix.SIGTERM)
	}
}

// signal ignores the one error there is: the process has gone, and its exit is
// on the way to the loop.
func (c *child) signal(sig unix.Signal) { _ = c.process.Signal(sig) }

func (c *child) kill() {
	c.signal(unix.SIGKILL)
	_ = c.process.SignalGroup(unix.SIGKILL) // an empty group is what is wanted
}

// endGroup ends what the worker has started and left behind in its process group,
// and tells whether there was anything: nobody supervises it, and it may hold the
// slot's sockets and go on to serve.
func (c *child) endGroup() (found bool) {
	return c.process.SignalGroup(unix.SIGKILL) == nil
}

// close gives back what the child held, after its exit was reported. Neither
// error can mean anything any more.
func (c *child) close() {
	_ = c.board.Close()
	_ = c.process.Close()
}

// outputs are the read ends of the workers' output that are being read.
type outputs struct {
	mu   sync.Mutex
	open map[io.Closer]struct{}
}

func (o *outputs) add(c io.Closer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open[c] = struct{}{}
}

// close closes one that was read to its end; the error can mean nothing any more.
func (o *outputs) close(c io.Closer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, c)
	_ = c.Close()
}

// closeAll ends the reading of all of them.
func (o *outputs) closeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.open {
		_ = c.Close() // see close
	}
}
