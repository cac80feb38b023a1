package goroutines

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// endless is a handler that writes until it cannot.
type endless struct{ failed chan error }

func (e endless) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	chunk := make([]byte, 1<<20)
	for {
		if _, err := w.Write(chunk); err != nil {
			if e.failed != nil {
				e.failed <- err
			}
			return
		}
	}
}

// serveHTTP2 starts an engine and a client who speaks HTTP/2 with it, and who
// gets its connections from dial.
func serveHTTP2(t testing.TB, config Config) (*rig, *http.Client) {
	t.Helper()
	r := serveTLS(t, config)
	r.client.NextProtos = []string{protocolHTTP2}
	return r, r.http2(t, func() (net.Conn, error) { return net.Dial("tcp", r.address) })
}

func (r *rig) http2(t testing.TB, dial func() (net.Conn, error)) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: r.client, ForceAttemptHTTP2: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() },
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport} // no timeout: it would end what the engine has to end
}

func (r *rig) get(t testing.TB, c *http.Client, path string) (*http.Response, string) {
	t.Helper()
	response, err := c.Get("https://" + r.address + path)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response, string(body)
}

// Many requests at a time come over one connection, each is counted, and the
// handler learns what it may want to know.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	const identity, requests = "slot=1", 50
	var together sync.WaitGroup
	together.Add(requests)
	r, c := serveHTTP2(t, Config{Identity: identity, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			together.Done()
			together.Wait()
		}
		fmt.Fprintf(w, "%s %v %s", r.Proto, r.TLS.HandshakeComplete, r.Context().Value(http.LocalAddrContextKey))
	})})
	want := "HTTP/2.0 true " + r.address
	r.get(t, c, "/")
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			response, err := c.Get("https://" + r.address + "/together")
			if err != nil {
				t.Error(err)
				return
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if string(body) != want || response.Header.Get("Prefork-Worker") != identity {
				t.Errorf("answer is %q from %q, want %q from %q", body, response.Header.Get("Prefork-Worker"), want, identity)
			}
		})
	}
	all.Wait()
	if a, n := r.accepted.Load(), r.answeredN.Load(); a != 1 || n != requests+1 {
		t.Errorf("%d connections and %d requests counted, want 1 and %d", a, n, requests+1)
	}
}

// The limits hold for each request, and the connection outlives them.
func TestHTTP2Limits(t *testing.T) {
	t.Parallel()
	r, c := serveHTTP2(t, Config{MaxBody: 10, MaxHeader: 1000})
	send := func(length int, body string) (int, string) {
		request, err := http.NewRequest("POST", "https://"+r.address+"/x", io.MultiReader(strings.NewReader(body)))
		must(t, err)
		request.ContentLength = int64(length)
		response, err := c.Do(request)
		must(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		must(t, err)
		return response.StatusCode, string(text)
	}
	for _, test := range []struct {
		length, status int
		body, want     string
	}{
		{10, 200, "0123456789", `POST /x "0123456789"`},
		{-1, 200, "0123456789", `POST /x "0123456789"`},
		{11, 413, "0123456789x", "request body too large: the limit is 10 bytes\n"},
		{-1, http.StatusTeapot, "0123456789x", "http: request body too large\n"},
	} {
		if status, text := send(test.length, test.body); status != test.status || text != test.want {
			t.Errorf("%d bytes announced as %d: %d %q, want %d %q", len(test.body), test.length, status, text, test.status, test.want)
		}
	}
	request, err := http.NewRequest("GET", "https://"+r.address, nil)
	must(t, err)
	request.Header.Set("X", strings.Repeat("x", 2000))
	if response, err := c.Do(request); err == nil {
		response.Body.Close()
		if response.StatusCode != 431 {
			t.Errorf("a long header: %s, want 431", response.Status)
		}
	}
	if n := r.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// A body that does not come, and an answer that nobody takes, end their stream.
func TestHTTP2Timeouts(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 2)
	r, c := serveHTTP2(t, Config{BodyTimeout: short, WriteTimeout: short, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			_, err := io.ReadAll(r.Body)
			failed <- err
		case "/endless":
			endless{failed: failed}.ServeHTTP(w, r)
		default:
			mirror(w, r)
		}
	})})
	never, writer := io.Pipe()
	defer writer.Close()
	go func() { // ends with the engine
		response, err := c.Post("https://"+r.address+"/body", "text/plain", never)
		if err == nil {
			response.Body.Close()
		}
	}()
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading a body that does not come: %v, want that the deadline has passed", err)
	}
	response, err := c.Get("https://" + r.address + "/endless") // its body is not read
	must(t, err)
	defer response.Body.Close()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("writing what nobody takes: no error")
		}
	case <-time.After(patience):
		t.Fatal("writing what nobody takes does not end")
	}
	r.get(t, c, "/")
	if n := r.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// The end of an answer that nobody takes holds no drain, though its handler is done.
func TestDrainIsNotHeldByAStalledRest(t *testing.T) {
	t.Parallel()
	const window = 64 << 10 // what the client takes unread
	r, c := serveHTTP2(t, Config{WriteTimeout: 10 * short, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write(make([]byte, window)); err != nil {
			t.Errorf("what the client takes: %v", err)
		}
		_, _ = w.Write(make([]byte, 1000)) // net/http keeps so little to itself, until the handler's end
	})})
	c.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window}
	response, err := c.Get("https://" + r.address)
	must(t, err)
	defer response.Body.Close()
	until(t, "the handler is done", func() bool { return r.answeredN.Load() == 1 })
	r.drain(t)
	r.wait(t)
}

// What HTTP/2 has another way, and what it has not.
func TestHTTP2FilesAndHijack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte("content"), 0o600))
	r, c := serveHTTP2(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/file" {
			http.ServeFile(w, r, path)
			return
		}
		_, _, err := w.(http.Hijacker).Hijack()
		fmt.Fprint(w, errors.Is(err, http.ErrNotSupported))
	})})
	for path, want := range map[string]string{"/file": "content", "/hijack": "true"} {
		if _, got := r.get(t, c, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// The header timeout is none for a connection that waits for its first request, nor for
// one that rests: the idle timeout is.
func TestHTTP2OutlivesTheHeaderTimeout(t *testing.T) {
	t.Parallel()
	r, _ := serveHTTP2(t, Config{HeaderTimeout: short})
	secure := tls.Client(dialTo(t, r.address).Conn, r.client)
	must(t, secure.Handshake())
	until(t, "the timeout has passed", func() bool {
		return slices.ContainsFunc(r.open(), func(c *conn) bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.phase == streams && !c.multiplexed.fresh
		})
	})
	if _, text := r.get(t, over(secure), "/"); text != mirrored {
		t.Errorf("the answer is %q", text)
	}
}

// over is a client who has one connection, and no other.
func over(c *tls.Conn) *http.Client {
	return &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return c, c.Handshake() },
	}}
}

// Streams under way finish, whatever rests is told to go, and the drain ends.
func TestDrainHTTP2(t *testing.T) {
	t.Parallel()
	g := newGate()
	r, c := serveHTTP2(t, Config{Handler: g})
	idle := r.http2(t, func() (net.Conn, error) { return net.Dial("tcp", r.address) })
	r.get(t, idle, "/")
	answers := make(chan string)
	go func() {
		response, err := c.Get("https://" + r.address + "/gate")
		if err != nil {
			answers <- err.Error()
			return
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		answers <- fmt.Sprint(string(body), err)
	}()
	<-g.entered
	r.drain(t)
	until(t, "the idle one has gone", func() bool { return len(r.open()) == 1 })
	close(g.opened)
	if got := <-answers; got != "through<nil>" {
		t.Errorf("the stream under way: %s", got)
	}
	r.wait(t)
}

// A client who has not sent its first request yet gets it answered, and not for ever.
func TestDrainWaitsForFirstHTTP2Request(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		handshake bool // complete before the drain
	}{{"in the handshake", false}, {"after the handshake", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, _ := serveHTTP2(t, Config{})
			raw := dialTo(t, r.address).Conn
			secure := tls.Client(raw, r.client)
			if test.handshake {
				must(t, secure.Handshake())
				until(t, "it speaks HTTP/2", func() bool { return r.inPhase(streams) == 1 })
			} else {
				until(t, "it is accepted", func() bool { return r.accepted.Load() == 1 })
			}
			r.drain(t)
			if _, text := r.get(t, over(secure), "/"); text != mirrored {
				t.Errorf("the answer is %q", text)
			}
			r.wait(t)
		})
	}
	t.Run("in vain", func(t *testing.T) {
		t.Parallel()
		r, _ := serveHTTP2(t, Config{HeaderTimeout: 10 * short}) // the drain comes first, as a rule
		_, err := io.WriteString(tls.Client(dialTo(t, r.address).Conn, r.client), prefaceHTTP2)
		must(t, err)
		until(t, "it speaks HTTP/2", func() bool { return r.inPhase(streams) == 1 })
		r.drain(t)
		r.wait(t)
	})
}

// prefaceHTTP2 is what a client says before its first request, with empty settings (RFC
// 9113, 3.4 and 6.5).
const prefaceHTTP2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

func (r *rig) inPhase(p phase) (n int) {
	for _, c := range r.open() {
		c.mu.Lock()
		if c.phase == p {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// At the deadline of a drain streams end as they are.
func TestDeadlineCutsHTTP2Short(t *testing.T) {
	t.Parallel()
	g := newGate()
	r, c := serveHTTP2(t, Config{Handler: g})
	failed := make(chan error)
	go func() {
		_, err := c.Get("https://" + r.address + "/gate")
		failed <- err
	}()
	<-g.entered
	r.drain(t)
	r.Drain(monotonic(t)+int64(10*time.Millisecond), nil)
	r.wait(t)
	if err := <-failed; err == nil {
		t.Error("an answer came, want the end")
	}
	close(g.opened)
}

// curl is not of our making, nor of Go's.
func TestCurlSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	r, _ := serveHTTP2(t, Config{})
	url := "https://" + r.address + "/"
	out, err := exec.Command(curl, "--silent", "--insecure", "--http2", "--write-out", " %{http_version} %{num_connects}\n", url, url).Output()
	if want := mirrored + " 2 1\n" + mirrored + " 2 0\n"; err != nil || string(out) != want {
		t.Errorf("curl says %q, %v, want %q", out, err, want)
	}
}
