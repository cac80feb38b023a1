package master

import (
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

// groupLook is how often is asked whether what a worker has started still runs.
// The kernel tells nobody when a process group has become empty.
const groupLook = 20 * time.Millisecond

// child is what the shell keeps of one incarnation, from spawn to exit.
type child struct {
	id         supervise.WorkerID
	generation uint64
	revision   uint64
	process    *process.Process
	talk       talk
	told       atomic.Bool                  // it was asked to leave, or leaves by itself
	before     atomic.Pointer[ipc.Counters] // what it had counted then; nil: it was not asked
	waited     int                          // for so many samples connections have waited for it

	post     func(supervise.Event) // to the loop; returns at once when that has ended
	print    func(c *child, stream, line string, dropped int)
	outputs  *outputs // that are being read, of all children
	words    process.Tail
	errsDone chan struct{} // closed when stderr was read to its end
	heard    chan struct{} // closed when nobody listens to it any more
	exited   chan struct{} // closed when the process has ended
	killed   chan struct{} // closed when it was killed

	// leftovers tells, once the exit was reported, whether something of the worker
	// had outlived it and was killed: nobody supervised it, and it might have held
	// the slot's sockets and gone on to serve.
	leftovers bool
	killOnce  sync.Once
}

// watch starts the child's goroutines. Run waits for all of them.
func (c *child) watch(run func(func())) {
	run(func() {
		defer close(c.heard)
		c.talk.hear()
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
	var lost lostLines
	// The error is the end of the output, which is all that is left to learn.
	_ = process.Lines(r, func(line string, dropped int) { c.print(c, stream, line, lost.add(dropped, time.Now())) })
	if lost.untold > 0 {
		c.print(c, stream, "", lost.untold)
	}
}

// lostEvery is how often it is said that lines of a stream were lost. A flood
// loses some between almost any two that come through.
const lostEvery = time.Second

// lostLines sums up what a stream has lost.
type lostLines struct {
	untold int
	toldAt time.Time
}

// add returns how many to tell of now; 0: nothing to tell, or not yet.
func (l *lostLines) add(dropped int, now time.Time) (tell int) {
	if l.untold += dropped; l.untold == 0 || now.Sub(l.toldAt) < lostEvery {
		return 0
	}
	tell, l.untold, l.toldAt = l.untold, 0, now
	return tell
}

// reap waits for the child's end and reports it with its last words, AFTER
// everything that it said.
func (c *child) reap() {
	status := c.process.Wait()
	close(c.exited)
	c.awaitGroup()
	c.leftovers = c.process.SignalFamily(unix.SIGKILL)
	if !c.talk.hearsEnd() {
		c.talk.mute()
	}
	patience := time.NewTimer(wordsTimeout)
	defer patience.Stop()
	for _, done := range []<-chan struct{}{c.errsDone, c.heard} {
		select {
		case <-done:
		case <-patience.C:
			patience.Reset(0)
		}
	}
	c.talk.mute() // a grandchild may hold the other end
	<-c.heard     // nobody uses the talk any more
	c.post(supervise.WorkerExited{ID: c.id, Clean: status == process.Status{}, Reason: status.String(), Words: c.words.String(), Tally: c.tally(status)})
}

// awaitGroup gives what a worker has started the time that was left to the worker,
// when that was told to leave: a program may end before its own children have
// answered what they hold. The machine still sees it drain, and at the deadline it
// has them killed. After a crash there is no such time, and never for what has left
// the process group: a daemon does not end by itself.
func (c *child) awaitGroup() {
	if !c.told.Load() {
		return
	}
	look := time.NewTicker(groupLook)
	defer look.Stop()
	for c.process.SignalGroup(0) == nil {
		select {
		case <-look.C:
		case <-c.killed:
			return
		}
	}
}

// signal ignores the one error there is: the process has gone, and its exit is
// on the way to the loop.
func (c *child) signal(sig unix.Signal) { _ = c.process.Signal(sig) }

func (c *child) kill() {
	c.killOnce.Do(func() { close(c.killed) })
	c.signal(unix.SIGKILL)
	// An empty group is what is wanted. Strays are looked for when the worker has
	// ended: a look at every process for each of a thousand workers would stop the loop.
	_ = c.process.SignalGroup(unix.SIGKILL)
}

// close gives back what the child held, after its exit was reported. The error
// can mean nothing any more.
func (c *child) close() {
	c.talk.release()
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
