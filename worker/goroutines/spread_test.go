package goroutines

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// streaming answers with one line and waits for the end of the connection, which for
// /hijack it takes over.
func streaming(w http.ResponseWriter, r *http.Request) {
	response := http.NewResponseController(w)
	if r.URL.Path != "/hijack" {
		_, _ = io.WriteString(w, "line\n") // the client tells
		_ = response.Flush()
		<-r.Context().Done()
		return
	}
	c, _, err := response.Hijack()
	if err != nil {
		return // the client tells
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\nline\n")
	_, _ = io.Copy(io.Discard, c)
}

// TestDrainSpreadsWhatItCuts: streams, and connections that their handler has taken over,
// live until the last part of the drain, and end one after the other over that.
func TestDrainSpreadsWhatItCuts(t *testing.T) {
	t.Parallel()
	const conns, length, spread = 12, 1500 * time.Millisecond, time.Second
	r := serve(t, Config{DrainSpread: spread, Handler: http.HandlerFunc(streaming)})
	ends := make(chan time.Time, conns)
	for i := range conns {
		c := r.dial(t)
		c.write("GET " + []string{"/", "/hijack"}[i%2] + " HTTP/1.1\r\nHost: a\r\n\r\n")
		for line := ""; line != "line\n"; {
			var err error
			line, err = c.read.ReadString('\n')
			must(t, err)
		}
		go func() {
			_, _ = io.Copy(io.Discard, c.read) // until the end, or a reset
			ends <- time.Now()
		}()
	}
	began := time.Now()
	r.Drain(monotonic(t)+int64(length), nil)
	r.wait(t)
	var took []time.Duration
	for range conns {
		took = append(took, (<-ends).Sub(began))
	}
	slices.Sort(took)
	if cut, finished := r.cut.Load(), r.finished.Load(); cut != conns || finished != 0 {
		t.Errorf("%d are counted as cut and %d as finished, want all %d cut", cut, finished, conns)
	}
	if took[0] < length-spread-10*time.Millisecond {
		t.Errorf("the first ended after %v, before the last %v of %v", took[0], spread, length)
	}
	if half := took[conns/2]; half < length-spread+spread/4 || took[conns-1]-took[0] < spread/4 {
		t.Errorf("they ended after %v, want them spread over %v", took, spread)
	}
}
