package master

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of an Outlet.
const (
	outletLines   = 4096            // wait for a slow reader; beyond, lines are dropped and counted
	outletPending = 1 << 20         // bytes, ditto
	outletFlush   = 2 * time.Second // Close gives the reader so long
)

// Outlet is where the log goes: an io.Writer that never blocks. A disk that is
// full or a terminal that was stopped costs lines, which are counted, and never
// the master's loop. The count stands where the lines would be, as a line in the
// format of those around it. Its methods may be called from any goroutine.
type Outlet struct {
	mu        sync.Mutex
	changed   sync.Cond
	queue     []outletItem
	pending   int        // bytes in queue
	dropped   int        // lines, since the last one in queue
	reopening *Reopening // that waits in queue, or nil
	closed    bool

	done chan struct{} // closed when the goroutine has ended

	// The goroutine's own.
	path    string // "" for a stream that cannot be opened again
	stream  io.Writer
	missing int  // lines that were dropped or could not be written, and not told yet
	torn    bool // the stream ends in half a line
	json    bool // the last line was JSON
}

// outletItem is what waits to be done, in order.
type outletItem struct {
	missing int        // lines dropped before it
	line    []byte     // may be nil
	reopen  *Reopening // nil: write
}

// Reopening is what came of a Reopen. Its methods may be called from any goroutine.
type Reopening struct {
	done chan struct{} // closed AFTER err was set
	err  error
}

// Wait waits for the outcome: nil, why the old file stays in use, or the error of ctx.
func (r *Reopening) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Reopening) end(err error) {
	r.err = err
	close(r.done)
}

// NewOutlet returns an Outlet that appends to the file at path, which it
// creates with mode 0640, or that writes to stream when path is empty.
func NewOutlet(path string, stream io.Writer) (*Outlet, error) {
	o := &Outlet{done: make(chan struct{}), path: path, stream: stream}
	o.changed.L = &o.mu
	if path != "" {
		f, err := openLog(path)
		if err != nil {
			return nil, err
		}
		o.stream = f
	}
	go o.run()
	return o, nil
}

func openLog(path string) (*os.File, error) {
	// Non-blocking, or a named pipe that nobody reads would hold the program for
	// ever; for a file it means nothing.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w: choose another path with --log-file, or make its folder writable", err)
	}
	return f, nil
}

// Write takes one line; it never fails and never blocks. After Close the line
// is lost.
func (o *Outlet) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.queue) >= outletLines || o.pending+len(line) > outletPending {
		o.dropped++
		return len(line), nil
	}
	o.queue = append(o.queue, outletItem{missing: o.dropped, line: bytes.Clone(line)})
	o.pending += len(line)
	o.dropped = 0
	o.changed.Signal()
	return len(line), nil
}

// Reopen opens the file again: after logrotate has renamed it, the next lines
// go to a new one. If that fails, the old file stays in use and gets a line. It
// does not wait: the outcome comes AFTER all lines before it are written.
func (o *Outlet) Reopen() *Reopening {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reopening != nil {
		return o.reopening // it opens whatever has the name by then
	}
	r := &Reopening{done: make(chan struct{})}
	if o.closed {
		r.end(fmt.Errorf("reopen log file: %w", os.ErrClosed))
		return r
	}
	o.reopening = r
	o.queue = append(o.queue, outletItem{reopen: r})
	o.changed.Signal()
	return r
}

// Close writes what waits, for as long as the reader takes it.
func (o *Outlet) Close() {
	o.mu.Lock()
	o.closed = true
	o.changed.Signal()
	o.mu.Unlock()
	timer := time.NewTimer(outletFlush)
	defer timer.Stop()
	select {
	case <-o.done:
	case <-timer.C: // a stuck reader: the goroutine ends with the process
	}
}

func (o *Outlet) run() {
	defer close(o.done)
	defer o.closeFile()
	for {
		item, ok := o.next()
		switch {
		case !ok:
			return
		case item.reopen != nil:
			item.reopen.end(o.openAgain())
		default:
			o.put(item)
		}
	}
}

// next waits for something to do; ok is false when there is no more. When all is
// done and lines were dropped at last, that is something too: the next line may
// be hours away.
func (o *Outlet) next() (item outletItem, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 {
		if o.dropped > 0 {
			item.missing, o.dropped = o.dropped, 0
			return item, true
		}
		if o.closed {
			return item, false
		}
		o.changed.Wait()
	}
	item = o.queue[0]
	o.queue[0] = outletItem{} // or the array would keep the text of lines long gone
	o.queue = o.queue[1:]
	o.pending -= len(item.line)
	if item.reopen != nil {
		o.reopening = nil
	}
	return item, true
}

// put writes a line and, before it, how many are missing. A line that cannot
// be written (disk full) is missing too.
func (o *Outlet) put(item outletItem) {
	if item.line != nil {
		o.json = bytes.HasPrefix(item.line, []byte("{"))
	}
	o.missing += item.missing
	if o.missing > 0 && o.remark(fmt.Sprintf("%d log lines are missing here: the log could not be written fast enough", o.missing)) {
		o.missing = 0
	}
	if item.line != nil && !o.write(item.line) {
		o.missing++
	}
}

// remark writes a line of the outlet's own, in the format of those around it, so
// that a program which reads JSON does not stumble over it.
func (o *Outlet) remark(text string) (written bool) {
	if !o.json {
		return o.write([]byte("prefork: " + text + "\n"))
	}
	line, err := json.Marshal(map[string]string{
		"component": "log", "level": "warning", "msg": text, "time": time.Now().Format(time.RFC3339Nano),
	})
	return err == nil && o.write(append(line, '\n'))
}

// write writes a whole line. After half of one, which is what a disk takes that
// fills up, the next begins on a line of its own.
func (o *Outlet) write(line []byte) (written bool) {
	if o.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := o.stream.Write(line)
	if n > 0 {
		o.torn = line[n-1] != '\n'
	}
	return err == nil
}

func (o *Outlet) openAgain() error {
	if o.path == "" {
		return nil
	}
	f, err := openLog(o.path)
	if err != nil {
		err = fmt.Errorf("%w; the old file stays in use", err)
		o.remark(err.Error())
		return err
	}
	o.closeFile()
	o.stream, o.torn = f, false
	return nil
}

func (o *Outlet) closeFile() {
	if f, ok := o.stream.(*os.File); ok && o.path != "" {
		_ = f.Close() // every line was written through; nothing is buffered here
	}
}
