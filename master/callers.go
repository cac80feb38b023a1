package master

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"prefork/master/control"
	"prefork/master/supervise"
)

// callers are the operators who wait for an answer.
type callers struct {
	mu      sync.Mutex
	last    supervise.Caller
	waiting map[supervise.Caller]caller
}

type caller struct {
	reply chan control.Answer // has room for the one answer
	since time.Time
}

func (c *callers) add() (supervise.Caller, <-chan control.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	reply := make(chan control.Answer, 1)
	c.waiting[c.last] = caller{reply: reply, since: time.Now()}
	return c.last, reply
}

func (c *callers) remove(id supervise.Caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// answer answers a caller; one that has left gets nothing.
func (c *callers) answer(a supervise.Answer, now supervise.Status, change *control.ChangeReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.waiting[a.Caller]
	if !ok {
		return
	}
	delete(c.waiting, a.Caller)
	w.reply <- control.Answer{
		Result: string(a.Result), Error: a.Reason, Seconds: (time.Since(w.since) - a.Waited).Seconds(),
		Generation: now.Generation, Workers: now.Slots, Change: change,
	}
}

// Do carries an operator's command out: it posts the event and waits for the
// machine's answer. When ctx ends first, the caller counts as gone.
func (m *master) Do(ctx context.Context, cmd control.Command) (control.Answer, error) {
	id, reply := m.callers.add()
	defer m.callers.remove(id)
	ev, err := eventFor(cmd, id)
	if err != nil {
		return control.Answer{Result: string(supervise.Refused), Error: err.Error()}, nil
	}
	m.post(ev)
	select {
	case a := <-reply:
		switch cmd.Verb {
		case control.Reopen:
			return m.reopened(ctx, a)
		case control.Reload:
			if a.Result == control.ResultOK && m.newer.Load() {
				a.Note = newerOnDisk
			}
		}
		return a, nil
	case <-ctx.Done():
		m.post(supervise.CallerLeft{Caller: id})
		return control.Answer{}, ctx.Err()
	case <-m.ended:
		return lastAnswer(reply), nil
	}
}

// reopened waits for what the loop has only begun BEFORE it gave the answer:
// opening a file may take as long as a disk does.
func (m *master) reopened(ctx context.Context, a control.Answer) (control.Answer, error) {
	r := m.reopening.Load()
	if r == nil {
		return a, nil
	}
	err := r.Wait(ctx)
	if err != nil && ctx.Err() == nil {
		a.Result, a.Error = string(supervise.Failed), err.Error()
		return a, nil
	}
	return a, err
}

// lastAnswer returns the answer that was given while the loop ended, or says
// that there is none.
func lastAnswer(reply <-chan control.Answer) control.Answer {
	select {
	case a := <-reply:
		return a
	default:
		return control.Answer{Result: string(supervise.Failed), Error: "the master has stopped"}
	}
}

func eventFor(cmd control.Command, id supervise.Caller) (supervise.Event, error) {
	switch cmd.Verb {
	case control.Reload:
		return supervise.ReloadRequested{Caller: id, Timeout: cmd.Timeout}, nil
	case control.Upgrade:
		return supervise.UpgradeRequested{Caller: id}, nil
	case control.Stop:
		return supervise.StopRequested{Caller: id, Now: cmd.Now}, nil
	case control.Reopen:
		return supervise.ReopenRequested{Caller: id}, nil
	case control.Scale:
		return scaleEvent(cmd.Workers, id)
	}
	return nil, fmt.Errorf("unknown command %q", cmd.Verb)
}

// scaleEvent reads "4", "+1" and "-1".
func scaleEvent(workers string, id supervise.Caller) (supervise.Event, error) {
	n, err := strconv.Atoi(workers)
	if err != nil || n > supervise.SlotsMax || n < -supervise.SlotsMax {
		return nil, fmt.Errorf("workers is %q: write a number like 4, or a step like +1 or -1, up to %d", workers, supervise.SlotsMax)
	}
	if strings.HasPrefix(workers, "+") || strings.HasPrefix(workers, "-") {
		return supervise.ScaleRequested{Caller: id, Relative: true, Delta: n}, nil
	}
	return supervise.ScaleRequested{Caller: id, Workers: n}, nil
}
