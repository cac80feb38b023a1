package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// awaitInterval is how often Await looks at the counter.
const awaitInterval = time.Millisecond

// Generator is a load that is running. Its methods are safe for concurrent use.
type Generator struct {
	stop     context.CancelFunc
	answered atomic.Int64
	done     chan struct{} // closed when report is final
	report   Report
}

// Run sends the whole schedule and returns what became of it. When ctx ends
// early no further request becomes due, and those that are come to their end.
// The error says that nothing was sent: cfg is wrong, or the kernel gave no
// epoll descriptor.
func Run(ctx context.Context, cfg Config) (Report, error) {
	generator, err := Start(ctx, cfg)
	if err != nil {
		return Report{}, err
	}
	return generator.Wait(), nil
}

// Start is Run in the background, for tests that act while it runs. The caller
// must call Wait.
func Start(ctx context.Context, cfg Config) (*Generator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	g := &Generator{stop: stop, done: make(chan struct{})}
	loop, err := newLoop(cfg, &g.answered)
	if err != nil {
		stop()
		return nil, fmt.Errorf("start load: %w", err)
	}
	go func() {
		defer close(g.done)
		defer stop()
		g.report = loop.run(ctx)
	}()
	return g, nil
}

// Answered is the number of requests answered so far.
func (g *Generator) Answered() int { return int(g.answered.Load()) }

// Await returns when n requests have been answered. The error says that the load
// came to its end, or ctx did, before that.
func (g *Generator) Await(ctx context.Context, n int) error {
	ticker := time.NewTicker(awaitInterval)
	defer ticker.Stop()
	for g.Answered() < n {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("await %d answers: have %d: %w", n, g.Answered(), ctx.Err())
		case <-g.done:
			if g.Answered() < n {
				return fmt.Errorf("await %d answers: load ended with %d\n%s", n, g.Answered(), g.report)
			}
		}
	}
	return nil
}

// Stop lets no further request become due. It does not wait.
func (g *Generator) Stop() { g.stop() }

// Wait returns the report when the schedule and every request have come to their
// end: at the latest Timeout after the last request was due.
func (g *Generator) Wait() Report {
	<-g.done
	return g.report
}
