package worker

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

func TestChooseEngine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ app, engine, want string }{
		{appHello, "", onReactor},
		{appHello, onReactor, onReactor},
		{appHello, onGoroutines, onGoroutines},
		{appEcho, "", onReactor},
		{appEcho, onReactor, onReactor},
		{appStatic, "", onReactor},
		{appStatic, onGoroutines, onGoroutines},
	} {
		got, err := chooseEngine(ipc.Settings{App: test.app, Engine: test.engine})
		if err != nil || got != test.want {
			t.Errorf("%s on %q: %q, %v, want %q", test.app, test.engine, got, err, test.want)
		}
	}
}

// TestEnginesAnswerAlike: who changes the engine changes nothing that a client of
// hello can see.
func TestEnginesAnswerAlike(t *testing.T) {
	t.Parallel()
	const length = 1000
	requests := map[string]string{
		"get":                "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"query":              "GET /?a=b HTTP/1.1\r\nHost: a\r\n\r\n",
		"close":              "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"1.0":                "GET / HTTP/1.0\r\n\r\n",
		"not found":          "GET /a%0d%0ab?c HTTP/1.1\r\nHost: a\r\n\r\n",
		"method":             "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
		"header too large":   "GET /" + strings.Repeat("x", length) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"body too large":     fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", length),
		"body within limits": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"chunks too large":   fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", length, strings.Repeat("x", length)),
	}
	answers := map[string]map[string]string{}
	for _, engine := range []string{onReactor, onGoroutines} {
		listener, address := mustListen(t)
		c := start(t, listener).serving(t, ipc.Settings{App: appHello, Engine: engine, Identify: true, MaxHeader: 500, MaxBody: 500})
		answers[engine] = map[string]string{}
		for name, request := range requests {
			client := mustDial(t, address)
			client.write(t, request)
			answers[engine][name] = client.readSummary(t, c)
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all requests are counted", func() bool { return c.counters(t).Requests == uint64(len(requests)) })
		c.send(t, ipc.Drain{})
		c.mustSay(t, ipc.Left{})
		c.mustExit(t, 0, "")
	}
	for name := range requests {
		if got, want := answers[onGoroutines][name], answers[onReactor][name]; got != want {
			t.Errorf("%s: goroutines answers\n%s\nand reactor\n%s", name, got, want)
		}
	}
}

// readSummary reads an answer and writes down what two engines must have in common.
func (c *client) readSummary(t testing.TB, worker *child) string {
	t.Helper()
	head, body := c.readAnswer(t)
	pid := fmt.Sprint("pid ", worker.cmd.Process.Pid)
	identity := strings.Replace(head.Header.Get("Prefork-Worker"), fmt.Sprint("pid=", worker.cmd.Process.Pid), "pid=PID", 1)
	return fmt.Sprintf("%d %s close=%v length=%s allow=%q %s\n%s", head.StatusCode, head.Header.Get("Content-Type"), head.Close,
		head.Header.Get("Content-Length"), head.Header.Get("Allow"), identity, strings.Replace(body, pid, "pid PID", 1))
}

func TestTimeoutsOfSettings(t *testing.T) { onEachEngine(t, timeoutsOfSettings) }

func timeoutsOfSettings(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	hello.BodyTimeout, hello.IdleTimeout = time.Millisecond, time.Millisecond
	hello.HeaderTimeout = 2 * time.Second // mustHello must be answered
	c := start(t, listener).serving(t, hello)
	for name, text := range map[string]string{
		"silence": "",
		"header":  "GET / HTTP/1.1\r\nHo",
		"body":    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na",
	} {
		client := mustDial(t, address)
		client.write(t, text)
		if rest, err := io.ReadAll(client.answers); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: got %q, %v, want the end", name, rest, err)
		}
	}
	client := mustDial(t, address)
	client.mustHello(t)
	client.mustEnd(t)
	c.mustDrain(t, "")
}

// TestOutOfDescriptors: a worker that has none left says so once, serves those who
// are there, and the others when they have gone.
func TestOutOfDescriptors(t *testing.T) { onEachEngine(t, outOfDescriptors) }

func outOfDescriptors(t *testing.T, hello ipc.Settings) {
	const limit = 30
	const words = "too many open files: accepting pauses"
	listener, address := mustListen(t)
	c := start(t, listener).serving(t, hello)
	mustServe(t, address) // it has opened by now whatever it needs for serving
	if err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
		t.Fatal(err)
	}
	var clients []*client
	for short := false; !short && len(clients) < limit; {
		client := mustDial(t, address)
		client.write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		clients = append(clients, client)
		eventually(t, "it is accepted, or the worker is short", func() bool {
			short = strings.Contains(c.said(t), words)
			return short || c.counters(t).Accepted == uint64(len(clients)+1)
		})
	}
	for _, client := range clients { // the last one is served when another has gone
		client.mustGetHello(t)
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.mustDrain(t, words)
}

func TestDrainClosesIdleConnections(t *testing.T) { onEachEngine(t, drainClosesIdleConnections) }

func drainClosesIdleConnections(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	c := start(t, listener).serving(t, hello)
	var idle []*client
	for range 10 {
		client := mustDial(t, address)
		client.mustHello(t)
		client.mustHello(t)
		idle = append(idle, client)
	}
	half := mustDial(t, address)
	half.mustHello(t)
	half.write(t, "GET / HTTP/1.1\r\nHost: te")
	c.send(t, ipc.Drain{})
	for _, client := range idle {
		client.mustEnd(t)
	}
	half.write(t, "st\r\n\r\n")
	if head, _ := half.readAnswer(t); head.StatusCode != http.StatusOK || !head.Close {
		t.Errorf("answer while draining: %s, close %v, want 200 and close", head.Status, head.Close)
	}
	half.mustEnd(t)
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}
