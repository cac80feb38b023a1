package worker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

var helloSettings = ipc.Settings{App: "hello", OrphanTimeout: time.Hour}

// onEachEngine runs a story of a life once for each engine, with the app hello.
func onEachEngine(t *testing.T, story func(t *testing.T, hello ipc.Settings)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []string{onReactor, onGoroutines} {
		hello := helloSettings
		hello.Engine = engine
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			story(t, hello)
		})
	}
}

func TestServesFromServeToDrain(t *testing.T) { onEachEngine(t, servesFromServeToDrain) }

func servesFromServeToDrain(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	hello.Identify = true
	c := start(t, listener).serving(t, hello)

	client := mustDial(t, address)
	client.write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	head, body := client.readAnswer(t)
	pid := c.cmd.Process.Pid
	if want := fmt.Sprintf("hello from slot 2 generation 3 pid %d\n", pid); body != want {
		t.Errorf("body is %q, want %q", body, want)
	}
	if got, want := head.Header.Get("Prefork-Worker"), fmt.Sprintf("slot=2 incarnation=5 generation=3 pid=%d", pid); got != want {
		t.Errorf("Prefork-Worker is %q, want %q", got, want)
	}
	eventually(t, "counters of one connection and one request", func() bool {
		got := c.counters(t)
		return got.Accepted == 1 && got.Requests == 1 && got.Connections == 1 && got.Helped == 0
	})

	c.send(t, ipc.Drain{})
	client.mustEnd(t) // it was idle
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
	if got := c.counters(t).Connections; got != 0 {
		t.Errorf("%d connections after the end, want 0", got)
	}
}

func TestServesEcho(t *testing.T) {
	t.Parallel()
	listener, address := mustListen(t)
	c := start(t, listener).serving(t, ipc.Settings{App: "echo"})
	client := mustDial(t, address)
	client.write(t, "there and back\n")
	if got, err := client.answers.ReadString('\n'); err != nil || got != "there and back\n" {
		t.Errorf("echo is %q, %v", got, err)
	}
	c.send(t, ipc.Drain{})
	client.mustEnd(t)
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}

func TestIsNamedInProcessLists(t *testing.T) {
	t.Parallel()
	listener, _ := mustListen(t)
	c := start(t, listener).standby(t, helloSettings)
	got, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.cmd.Process.Pid))
	if err != nil || string(got) != commandName+"\n" {
		t.Errorf("comm is %q, %v, want %q", got, err, commandName)
	}
	c.mustDrain(t, "")
}

// TestStandbyDoesNotAccept lets two beats pass, which are turns of the loop in
// which it could have accepted.
func TestStandbyDoesNotAccept(t *testing.T) { onEachEngine(t, standbyDoesNotAccept) }

func standbyDoesNotAccept(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	c := start(t, listener).standby(t, hello)
	client := mustDial(t, address)
	client.write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	c.mustBeat(t)
	c.mustBeat(t)
	if got := queueLength(t, listener); got != 1 {
		t.Errorf("%d connections wait in the queue, want 1", got)
	}
	if got := c.counters(t).Accepted; got != 0 {
		t.Errorf("%d connections accepted in standby, want none", got)
	}

	c.send(t, ipc.Serve{})
	c.mustHear(t, ipc.Listening{})
	client.mustGetHello(t)
	c.send(t, ipc.Drain{})
	client.mustEnd(t)
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}

func TestStandbyLeavesTheQueueToOthers(t *testing.T) { onEachEngine(t, standbyLeavesTheQueueToOthers) }

func standbyLeavesTheQueueToOthers(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	first := start(t, listener).standby(t, hello)
	client := mustDial(t, address)
	client.write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	first.send(t, ipc.Drain{})
	first.mustSay(t, ipc.Left{})
	first.mustExit(t, 0, "")

	second := start(t, listener).serving(t, hello)
	client.mustGetHello(t)
	second.send(t, ipc.Drain{})
	client.mustEnd(t)
	second.mustSay(t, ipc.Left{})
	second.mustExit(t, 0, "")
}

func TestDrainBeforeWelcome(t *testing.T) {
	t.Parallel()
	listener, _ := mustListen(t)
	c := start(t, listener)
	c.receive(t) // Hello
	c.send(t, ipc.Drain{})
	c.mustSay(t)
	c.mustExit(t, 0, "")
}

func TestHeartBeatsWhileIdle(t *testing.T) { onEachEngine(t, heartBeatsWhileIdle) }

func heartBeatsWhileIdle(t *testing.T, hello ipc.Settings) {
	listener, _ := mustListen(t)
	c := start(t, listener).standby(t, hello)
	c.mustBeat(t)
	c.send(t, ipc.Serve{})
	c.mustHear(t, ipc.Listening{})
	c.mustBeat(t)
	c.mustBeat(t)
	if beat, now := c.counters(t).Beat, ipc.Monotonic(); beat > now {
		t.Errorf("the last beat was at %d, which is after %d", beat, now)
	}
	c.mustDrain(t, "")
}

// mustBeat waits for a beat later than now.
func (c *child) mustBeat(t testing.TB) {
	t.Helper()
	now := ipc.Monotonic()
	eventually(t, "next beat", func() bool { return c.counters(t).Beat > now })
}

// holdRequest leaves a worker with one half of a request, so that it cannot
// drain before the other half has come.
func holdRequest(t testing.TB, c *child, address string) *client {
	t.Helper()
	client := mustDial(t, address)
	client.write(t, "GET / HTTP/1.1\r\nHost: te")
	eventually(t, "the worker's first connection", func() bool { return c.counters(t).Connections == 1 })
	return client
}

func (c *client) finishRequest(t testing.TB) {
	t.Helper()
	c.write(t, "st\r\n\r\n")
	c.mustGetHello(t)
	c.mustEnd(t)
}

func TestDrainFinishesHalfReadRequests(t *testing.T) { onEachEngine(t, drainFinishesHalfReadRequests) }

func drainFinishesHalfReadRequests(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	c := start(t, listener).serving(t, hello)
	client := holdRequest(t, c, address)
	c.send(t, ipc.Drain{})
	c.mustHear(t, ipc.Left{})
	client.finishRequest(t)
	c.mustSay(t)
	c.mustExit(t, 0, "")
}

func TestDrainServesWhatWaits(t *testing.T) { onEachEngine(t, drainServesWhatWaits) }

func drainServesWhatWaits(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	c := start(t, listener).standby(t, hello)
	var clients []*client
	for range 20 {
		client := mustDial(t, address)
		client.write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		clients = append(clients, client)
	}
	c.send(t, ipc.Serve{})
	c.send(t, ipc.Drain{}) // hardly any of them is accepted by now
	for _, client := range clients {
		client.mustGetHello(t)
		client.mustEnd(t)
	}
	c.mustSay(t, ipc.Listening{}, ipc.Left{})
	c.mustExit(t, 0, "")
}

func TestDrainEndsAtItsDeadline(t *testing.T) { onEachEngine(t, drainEndsAtItsDeadline) }

func drainEndsAtItsDeadline(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	hello.HeaderTimeout = time.Hour // so that only the deadline can end it
	c := start(t, listener).serving(t, hello)
	holdRequest(t, c, address)
	c.send(t, ipc.Drain{})
	c.mustHear(t, ipc.Left{})
	c.send(t, ipc.Drain{Deadline: ipc.Monotonic() + int64(time.Millisecond)}) // a second one, nearer
	c.mustSay(t)
	c.mustExit(t, 0, "")
}

// TestLeftMeansNoCopyOfTheListener closes the last copy but the worker's: if
// that one lived on, the address would still take connections.
func TestLeftMeansNoCopyOfTheListener(t *testing.T) { onEachEngine(t, leftMeansNoCopyOfTheListener) }

func leftMeansNoCopyOfTheListener(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	c := start(t, listener).serving(t, hello)
	client := holdRequest(t, c, address)
	c.send(t, ipc.Drain{})
	c.mustHear(t, ipc.Left{})
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	// Another test may be between its fork and its exec, and hold a copy meanwhile.
	eventually(t, "connection refused", func() bool {
		conn, err := net.DialTimeout("tcp4", address, patience)
		if err == nil {
			_ = conn.Close() // nothing was sent
		}
		return errors.Is(err, unix.ECONNREFUSED)
	})
	client.finishRequest(t)
	c.mustSay(t)
	c.mustExit(t, 0, "")
}

func TestSignalsDrain(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]syscall.Signal{"SIGTERM": unix.SIGTERM, "SIGQUIT": unix.SIGQUIT, "SIGINT": unix.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, address := mustListen(t)
			c := start(t, listener).serving(t, helloSettings)
			client := holdRequest(t, c, address)
			c.signal(t, s)
			c.mustHear(t, ipc.Leaving{Reason: name}, ipc.Left{})
			c.signal(t, s)          // a second one changes nothing
			c.send(t, ipc.Serve{})  // sent before the master had heard
			client.finishRequest(t) // the same
			c.mustSay(t)
			c.mustExit(t, 0, "")
		})
	}
}

// TestSignalStorm signals a worker up to its last moment: none of it may make an
// orderly end look like a crash.
func TestSignalStorm(t *testing.T) { onEachEngine(t, signalStorm) }

func signalStorm(t *testing.T, hello ipc.Settings) {
	listener, _ := mustListen(t)
	c := start(t, listener).serving(t, hello)
	var storm sync.WaitGroup
	storm.Go(func() {
		for c.cmd.Process.Signal(unix.SIGTERM) == nil {
		}
	})
	c.mustSay(t, ipc.Leaving{Reason: "SIGTERM"}, ipc.Left{})
	c.mustExit(t, 0, "")
	storm.Wait()
}

func TestSignalBeforeServe(t *testing.T) {
	t.Parallel()
	t.Run("starting", func(t *testing.T) {
		t.Parallel()
		listener, _ := mustListen(t)
		c := start(t, listener)
		c.receive(t) // Hello: it catches signals by now
		c.signal(t, unix.SIGTERM)
		c.mustSay(t, ipc.Leaving{Reason: "SIGTERM"})
		c.mustExit(t, 0, "")
	})
	t.Run("standby", func(t *testing.T) {
		t.Parallel()
		listener, _ := mustListen(t)
		c := start(t, listener).standby(t, helloSettings)
		c.signal(t, unix.SIGTERM)
		c.mustSay(t, ipc.Leaving{Reason: "SIGTERM"}, ipc.Left{})
		c.mustExit(t, 0, "")
	})
}

func TestIgnoresTheMastersSignals(t *testing.T) { onEachEngine(t, ignoresTheMastersSignals) }

func ignoresTheMastersSignals(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	c := start(t, listener).serving(t, hello)
	for _, s := range ignoredSignals {
		c.signal(t, s.(syscall.Signal))
	}
	mustServe(t, address)
	c.mustDrain(t, "")
}

func TestOrphanServesOn(t *testing.T) { onEachEngine(t, orphanServesOn) }

func orphanServesOn(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	c := start(t, listener).serving(t, hello)
	before := mustDial(t, address)
	before.mustHello(t)
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	c.mustSoonSay(t, "the master has gone")
	before.mustHello(t)
	mustServe(t, address)
	c.signal(t, unix.SIGTERM)
	before.mustEnd(t)
	c.mustExit(t, 0, "the master has gone: serving on without a master for 1h0m0s, then draining")
}

func TestOrphanDrainsInTheEnd(t *testing.T) { onEachEngine(t, orphanDrainsInTheEnd) }

func orphanDrainsInTheEnd(t *testing.T, hello ipc.Settings) {
	listener, address := mustListen(t)
	hello.OrphanTimeout = time.Millisecond
	c := start(t, listener).serving(t, hello)
	client := holdRequest(t, c, address)
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	client.finishRequest(t) // the connection closes only because of the drain
	c.mustExit(t, 0, "serving on without a master for 1ms")
}

func TestDrainSurvivesTheMaster(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		act  func(*testing.T, *child)
		want string
	}{
		{"end", hangUp, "the master has gone: draining on without a master"},
		{"garbage", sendGarbage, "the master makes no sense"},
		{"welcome", sendWelcome, "the master sent ipc.Welcome to a worker that is draining"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, address := mustListen(t)
			c := start(t, listener).serving(t, helloSettings)
			client := holdRequest(t, c, address)
			c.send(t, ipc.Drain{})
			c.mustHear(t, ipc.Left{})
			test.act(t, c)
			c.mustSoonSay(t, test.want)
			client.finishRequest(t)
			c.mustExit(t, 0, test.want)
		})
	}
}

// TestNonsenseBeforeServing: whatever makes no sense in its place ends a worker
// that is of no use without a master.
func TestNonsenseBeforeServing(t *testing.T) {
	t.Parallel()
	starting := func(t *testing.T, listener *os.File) *child {
		c := start(t, listener)
		c.receive(t) // Hello
		return c
	}
	standby := func(t *testing.T, listener *os.File) *child {
		return start(t, listener).standby(t, helloSettings)
	}
	for _, test := range []struct {
		name  string
		reach func(*testing.T, *os.File) *child
		act   func(*testing.T, *child)
		want  string
	}{
		{"garbage for a welcome", starting, sendGarbage, `the master makes no sense: ipc protocol broken: message starts with "no m"`},
		{"garbage in standby", standby, sendGarbage, "the master makes no sense"},
		{"serve for a welcome", starting, sendServe, "the master sent ipc.Serve to a worker that is starting"},
		{"hello from the master", standby, sendHello, "the master sent ipc.Hello to a worker that is standby"},
		{"second welcome", standby, sendWelcome, "the master sent ipc.Welcome to a worker that is standby"},
		{"watch for a welcome", starting, sendWatch, "the master sent ipc.Watch to a worker that is starting"},
		{"watch in standby", standby, sendWatch, "the master sent ipc.Watch to a worker that is standby"},
		{"give in standby", standby, sendGive, "the master sent ipc.Give to a worker that is standby"},
		{"take for a welcome", starting, sendTake, "the master sent ipc.Take to a worker that is starting"},
		{"end for a welcome", starting, hangUp, "the master has gone: this worker exits"},
		{"end in standby", standby, hangUp, "the master has gone: this worker exits"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, _ := mustListen(t)
			c := test.reach(t, listener)
			test.act(t, c)
			c.mustExit(t, 1, test.want)
		})
	}
}

// TestNonsenseWhileServing: clients do not pay for a master that makes no sense.
func TestNonsenseWhileServing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		act  func(*testing.T, *child)
		want string
	}{
		{"garbage", sendGarbage, "the master makes no sense"},
		{"serve again", sendServe, "the master sent ipc.Serve to a worker that is serving"},
		{"welcome again", sendWelcome, "the master sent ipc.Welcome to a worker that is serving"},
		{"hello", sendHello, "the master sent ipc.Hello to a worker that is serving"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, address := mustListen(t)
			c := start(t, listener).serving(t, helloSettings)
			test.act(t, c)
			c.mustSay(t) // the worker has closed the connection
			mustServe(t, address)
			c.signal(t, unix.SIGTERM)
			c.mustExit(t, 0, test.want)
		})
	}
}

func sendGarbage(t *testing.T, c *child) { c.sendGarbage(t) }
func sendHello(t *testing.T, c *child)   { c.send(t, ipc.Hello{MinVersion: 1, MaxVersion: 1, PID: 1}) }
func sendServe(t *testing.T, c *child)   { c.send(t, ipc.Serve{}) }
func sendWatch(t *testing.T, c *child)   { c.send(t, ipc.Watch{Slot: 3}) }
func sendGive(t *testing.T, c *child)    { c.send(t, ipc.Give{}, c.fd) }
func sendTake(t *testing.T, c *child)    { c.send(t, ipc.Take{}, c.fd) }
func sendWelcome(t *testing.T, c *child) { c.welcome(t, mustMarshal(t, helloSettings)) }
func hangUp(t *testing.T, c *child)      { _ = c.conn.Close() }

func TestRefusesSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ settings, want string }{
		"no JSON":            {`{"app":`, "decode settings"},
		"unknown app":        {`{"app":"helo"}`, `app "helo" is not built in: choose hello, static or echo`},
		"unknown engine":     {`{"app":"hello","engine":"threads"}`, `engine "threads" is not built in: choose reactor or goroutines`},
		"echo on goroutines": {`{"app":"echo","engine":"goroutines"}`, `app "echo" does not run on engine "goroutines": choose engine reactor, or leave it out`},
		"no root":            {`{"app":"static","root":"/dev/null/site"}`, `serve the files of "/dev/null/site": not a directory`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, _ := mustListen(t)
			c := start(t, listener)
			c.receive(t) // Hello
			c.welcome(t, []byte(test.settings))
			c.mustSay(t)
			c.mustExit(t, 1, test.want)
		})
	}
}

// TestListenFails takes the socket from under a standby worker: shutdown acts on
// the open file, whoever holds it.
func TestListenFails(t *testing.T) { onEachEngine(t, listenFails) }

func listenFails(t *testing.T, hello ipc.Settings) {
	listener, _ := mustListen(t)
	c := start(t, listener).standby(t, hello)
	if err := unix.Shutdown(int(listener.Fd()), unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	c.send(t, ipc.Serve{})
	c.mustExit(t, 1, "start serving")
	if line := c.said(t); !strings.Contains(line, "fd 3") {
		t.Errorf("stderr says %q, want it to name the descriptor", line)
	}
}
