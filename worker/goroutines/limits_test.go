package goroutines

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// headerOf is a request of exactly n bytes without a body.
func headerOf(n int) string {
	const begin, end = "GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n"
	return begin + strings.Repeat("x", n-len(begin)-len(end)) + end
}

// The limit is exact, however the header comes and wherever it begins.
func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	const identity = "slot=1"
	for _, limit := range []int{256, 4096, 4097, 8192, 20_000} {
		for _, test := range []struct {
			name  string
			first string // a request before it
			step  int    // bytes a write
		}{
			{name: "at once", step: 1 << 20},
			{name: "in pieces", step: 97},
			{name: "as second request", first: get, step: 1 << 20},
			{name: "as second request in pieces", first: post(3, "abc"), step: 97},
		} {
			t.Run(fmt.Sprintf("%d %s", limit, test.name), func(t *testing.T) {
				t.Parallel()
				r := serve(t, Config{MaxHeader: limit, Identity: identity})
				send := func(text string) *client {
					c := r.dial(t)
					if test.first != "" {
						c.write(test.first)
						c.answer()
					}
					for len(text) > 0 {
						n := min(test.step, len(text))
						c.write(text[:n])
						text = text[n:]
					}
					return c
				}
				send(headerOf(limit)).expect(200, mirrored)
				c := send(headerOf(limit + 1))
				response := c.expect(431, fmt.Sprintf("request header too large: the limit is %d bytes\n", limit))
				if got := response.Header.Get("Prefork-Worker"); got != identity || !response.Close {
					t.Errorf("431 with identity %q and close %v, want %q and close", got, response.Close, identity)
				}
				c.expectEnd()
			})
		}
	}
}

// A client that sends far too much reads why, not a reset.
func TestRefusalsAreReadable(t *testing.T) {
	t.Parallel()
	const much = 8 << 20
	for name, test := range map[string]struct {
		head, body string
		status     int
	}{
		"header":                {"GET / HTTP/1.1\r\nHost: a\r\nX: ", strings.Repeat("x", much), 431},
		"body":                  {fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", much), strings.Repeat("x", much), 413},
		"body that it asks for": {fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", much), "", 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, Config{})
			c := r.dial(t)
			c.write(test.head)
			go func() { _, _ = io.WriteString(c, test.body) }() // fails if the engine gives up first
			response, text := c.answer()
			if response.StatusCode != test.status || !response.Close || !strings.Contains(text, "too large: the limit is") {
				t.Errorf("answer is %s %q, close %v, want %d and close", response.Status, text, response.Close, test.status)
			}
			if got := r.answeredN.Load(); got != 1 {
				t.Errorf("%d answers counted, want 1", got)
			}
		})
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 100
	r := serve(t, Config{MaxBody: limit})
	full := strings.Repeat("x", limit)
	c := r.dial(t)
	for _, request := range []string{post(limit, full), chunked(full[:60], full[60:])} {
		c.write(request)
		c.expect(200, fmt.Sprintf("POST /x %q", full))
	}
	c.write(post(limit+1, full+"x"))
	c.expectLast(413, "request body too large: the limit is 100 bytes\n")

	c = r.dial(t)
	c.write(chunked(full[:60], full[:41]))
	c.expectLast(http.StatusTeapot, "http: request body too large\n")
}

// Expect: 100-continue works with limits in place, read or not.
func TestContinue(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{BodyTimeout: long, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ignored" {
			_, _ = io.WriteString(w, "ignored")
			return
		}
		mirror(w, r)
	})})
	c := r.dial(t)
	c.write("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	if line, err := c.read.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v, want 100", line, err)
	}
	_, _ = c.read.ReadString('\n')
	c.write("3\r\nabc\r\n0\r\n\r\n")
	c.expect(200, `POST /x "abc"`)

	c = r.dial(t)
	c.write("POST /ignored HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	c.expect(200, "ignored") // and not a wait for a body that never comes
}

const (
	short  = 50 * time.Millisecond
	second = time.Second // enough to be answered on any machine
	long   = time.Hour
)

// Each deadline ends what it is for, and only that.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	patient := Config{IdleTimeout: long, HeaderTimeout: long, BodyTimeout: long, WriteTimeout: long}
	for _, test := range []struct {
		name   string
		change func(*Config)
		sent   string
		answer string // before the end; empty: none
	}{
		{"silence", func(c *Config) { c.HeaderTimeout = short }, "", ""},
		{"header", func(c *Config) { c.HeaderTimeout = short }, "GET / HTTP/1.1\r\nHos", ""},
		{"idle", func(c *Config) { c.IdleTimeout = short }, get, mirrored},
		{"second header", func(c *Config) { c.HeaderTimeout = second }, get + "GET / HTTP/1.1\r\nHo", mirrored},
		{"second header, line by line", func(c *Config) { c.HeaderTimeout = second }, get + "GET / HTTP/1.1\r\n", mirrored},
		{"second header, too short to see", func(c *Config) { c.HeaderTimeout = second }, get + "GE", mirrored},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := patient
			test.change(&config)
			r := serve(t, config)
			c := r.dial(t)
			c.write(test.sent)
			if test.answer != "" {
				c.expect(200, test.answer)
			}
			c.expectEnd()
		})
	}
}

// A connection that is busy for longer than it may be idle stays.
func TestTimeoutsDoNotConcernHandlers(t *testing.T) {
	t.Parallel()
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-time.After(4 * short)
		_, _ = io.WriteString(w, "late")
	})
	r := serve(t, Config{Handler: slow, IdleTimeout: short, BodyTimeout: short})
	c := r.dial(t)
	c.write(post(3, "abc"))
	c.expect(200, "late")
}

func TestBodyTimeout(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"length": post(10, "abc"),
		"chunks": "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, Config{BodyTimeout: short, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read body: %v, want that the deadline has passed", err)
				}
				w.WriteHeader(http.StatusRequestTimeout)
			})})
			c := r.dial(t)
			c.write(head)
			c.expectLast(408, "")
		})
	}
}

// A client that does not read its answer is given up.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	r := serve(t, Config{WriteTimeout: short, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		failed <- err
	})})
	c := r.dial(t)
	c.write(get)
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v, want that the deadline has passed", err)
	}
}
