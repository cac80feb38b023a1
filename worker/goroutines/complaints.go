package goroutines

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
)

// complaintsEvery is the least time between two lines of net/http. A client can
// provoke some of them with each request.
const complaintsEvery = time.Second

// complaints is net/http's log, and that of handshakes: lines about mistakes of
// handlers and clients. It reports one a second and counts the rest.
type complaints struct {
	report func(error)

	mu      sync.Mutex
	last    time.Time
	skipped int
}

// Write gets one line, or one panic with its stack.
func (c *complaints) Write(line []byte) (int, error) {
	c.add(string(bytes.TrimSpace(line)))
	return len(line), nil
}

func (c *complaints) add(text string) {
	skipped, due := c.due()
	if !due {
		return
	}
	if skipped > 0 {
		text += fmt.Sprintf(" (%d lines before this one are not shown)", skipped)
	}
	c.report(errors.New(text))
}

func (c *complaints) due() (skipped int, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.last) < complaintsEvery {
		c.skipped++
		return 0, false
	}
	skipped, c.last, c.skipped = c.skipped, now, 0
	return skipped, true
}
