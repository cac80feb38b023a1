package reactor

import "sync"

// pool runs jobs, so many at a time and in the order in which they come. What waits
// is bounded by who waits for it: a connection has one errand at most.
type pool struct {
	size int

	mu      sync.Mutex
	waiting []func()
	running int // goroutines; each ends when nothing waits
}

func (p *pool) put(job func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, job)
	if p.running < p.size {
		p.running++
		go p.run()
	}
}

func (p *pool) run() {
	ended := false
	defer func() {
		if !ended { // a job has ended its goroutine (runtime.Goexit)
			go p.run()
		}
	}()
	for job := p.next(); job != nil; job = p.next() {
		job()
	}
	ended = true
}

// next returns nil when the goroutine that asks shall end.
func (p *pool) next() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.waiting = nil // with the memory of a rush
		p.running--
		return nil
	}
	job := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	return job
}
