package worker

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// programs are what a test's worker can be: see envProgram.
var programs = map[string]func(*Worker) error{
	"http":     func(w *Worker) error { return w.ServeHTTP(who(w)) },
	"fasthttp": serveFastHTTP,
	"placed":   servePlaced,
	"lines": func(w *Worker) error {
		return w.Serve(func(*reactor.Loop) reactor.Handler { return upperCase{} })
	},
	"portable lines": func(w *Worker) error {
		return w.Serve(func(*reactor.Loop) reactor.Handler { return &travelling{} })
	},
	"refuses":  func(*Worker) error { return errors.New("open the shop's books: no such file") },
	"forgets":  func(*Worker) error { return nil },
	"prepares": func(*Worker) error { select {} },
	"panics":   func(*Worker) error { panic("the books are closed") },
	"leaves":   leaveTheEngine,
	"again":    func(w *Worker) error { return errors.Join(w.ServeHTTP(who(w)), w.ServeHTTP(who(w))) },
	"tidies":   tidyUp,
	"nil http": func(w *Worker) error { return w.ServeHTTP(nil) },
	"nil fast": func(w *Worker) error { return w.ServeFastHTTP(nil) },
	"nil":      func(w *Worker) error { return w.Serve(nil) },
}

// who tells who answers.
func who(w *Worker) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(answer, "%d/%d of %d", w.Slot(), w.Incarnation(), w.Generation())
	})
}

func serveFastHTTP(w *Worker) error {
	return w.ServeFastHTTP(func(ctx *fasthttp.RequestCtx) {
		fmt.Fprintf(ctx, "%d/%d of %d", w.Slot(), w.Incarnation(), w.Generation())
	})
}

// servePlaced has requests for /wait wait for one for /go.
func servePlaced(w *Worker) error {
	gone := make(chan struct{})
	place := func(ctx *fasthttp.RequestCtx) proto.Place {
		if string(ctx.Path()) == "/wait" {
			return proto.OnGoroutine
		}
		return proto.OnLoop
	}
	return w.ServeFastHTTPAt(place, func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/wait" {
			<-gone
		} else {
			close(gone)
		}
		_, _ = ctx.Write(ctx.Path())
	})
}

// upperCase answers each line with itself, louder.
type upperCase struct{}

func (upperCase) Handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	end := bytes.IndexByte(in, '\n') + 1
	if end == 0 {
		return 0, out, reactor.Header
	}
	return end, append(out, bytes.ToUpper(in[:end])...), reactor.Idle
}

// leaveTheEngine returns with the first request, while the engine runs on.
func leaveTheEngine(w *Worker) error {
	asked := make(chan struct{})
	go func() {
		_ = w.ServeHTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked) }))
	}()
	<-asked
	return nil
}

// tidyUp has something to write down at the end.
func tidyUp(w *Worker) error {
	if err := w.ServeHTTP(who(w)); err != nil {
		return err
	}
	return errors.New("write the books: no space left")
}

func startProgram(t testing.TB, listener *os.File, name string) *child {
	t.Helper()
	if programs[name] == nil {
		t.Fatalf("there is no program %q", name)
	}
	return start(t, listener, envProgram+"="+name)
}

// TestProgramServes: each way to serve lives the life of a worker, and is counted.
func TestProgramServes(t *testing.T) {
	t.Parallel()
	const get, answer = "GET / HTTP/1.1\r\nHost: test\r\n\r\n", "2/5 of 3"
	for _, test := range []struct{ program, request, want string }{
		{"http", get, answer},
		{"fasthttp", get, answer},
		{"lines", "there and back\n", "THERE AND BACK\n"},
	} {
		t.Run(test.program, func(t *testing.T) {
			t.Parallel()
			listener, address := mustListen(t)
			c := startProgram(t, listener, test.program).serving(t, ipc.Settings{})
			client := mustDial(t, address)
			for range 2 {
				client.write(t, test.request)
				if got := client.readAny(t, test.request == get); got != test.want {
					t.Errorf("answer is %q, want %q", got, test.want)
				}
			}
			eventually(t, "counters of one connection and two requests", func() bool {
				got := c.counters(t)
				return got.Accepted == 1 && got.Requests == 2 && got.Connections == 1
			})
			c.send(t, ipc.Drain{})
			client.mustEnd(t)
			c.mustSay(t, ipc.Left{})
			c.mustExit(t, 0, "")
		})
	}
}

// TestProgramPlacesRequests: what waits does not keep the loop from others.
func TestProgramPlacesRequests(t *testing.T) {
	t.Parallel()
	listener, address := mustListen(t)
	c := startProgram(t, listener, "placed").serving(t, ipc.Settings{})
	waits, goes := mustDial(t, address), mustDial(t, address)
	waits.write(t, "GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
	eventually(t, "two connections", func() bool { return c.counters(t).Accepted == 2 })
	goes.write(t, "GET /go HTTP/1.1\r\nHost: test\r\n\r\n")
	for want, client := range map[string]*client{"/wait": waits, "/go": goes} {
		if got := client.readAny(t, true); got != want {
			t.Errorf("answer is %q, want %q", got, want)
		}
	}
	c.send(t, ipc.Drain{})
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}

// readAny reads the body of an answer, or a line of a protocol without any.
func (c *client) readAny(t testing.TB, isHTTP bool) string {
	t.Helper()
	if isHTTP {
		_, body := c.readAnswer(t)
		return body
	}
	line, err := c.answers.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// TestProgramMessagesAreCountedWhole: a half message is none yet.
func TestProgramMessagesAreCountedWhole(t *testing.T) {
	t.Parallel()
	listener, address := mustListen(t)
	c := startProgram(t, listener, "lines").serving(t, ipc.Settings{})
	client := mustDial(t, address)
	for _, piece := range []string{"a\nb", "c\n"} {
		client.write(t, piece)
		client.readAny(t, false)
	}
	if got := c.counters(t).Requests; got != 2 {
		t.Errorf("%d requests counted, want 2", got)
	}
	c.send(t, ipc.Drain{})
	client.mustEnd(t)
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}

// TestCountingKeepsWhatHandlersCan: a handler that is counted can still serve another
// connection, or go on in another process, if it can.
func TestCountingKeepsWhatHandlersCan(t *testing.T) {
	t.Parallel()
	for name, inner := range map[string]reactor.Handler{
		"neither": upperCase{}, "reusable": &reusable{}, "portable": &travelling{}, "both": &reusablePortable{},
	} {
		counting := engineConfig{}.counting(func() reactor.Handler { return inner })()
		_, want := inner.(reactor.Reuser)
		r, ok := counting.(reactor.Reuser)
		if ok != want {
			t.Errorf("%s: it can be used again: %v, want %v", name, ok, want)
		} else if ok {
			r.Reuse()
		}
		_, want = inner.(reactor.Portable)
		p, ok := counting.(reactor.Portable)
		if ok != want {
			t.Errorf("%s: it is portable: %v, want %v", name, ok, want)
		} else if ok {
			packed, ok := p.Pack()
			if err := p.Unpack([]byte("told")); string(packed) != "packed" || !ok || err == nil || err.Error() != "told" {
				t.Errorf("%s: packed %q, %v, unpacking says %v", name, packed, ok, err)
			}
		}
		if r, ok := inner.(interface{ times() int }); ok && r.times() != 1 {
			t.Errorf("%s: it was told %d times that it is used again, want once", name, r.times())
		}
	}
}

type reusable struct {
	upperCase
	reused int
}

func (r *reusable) Reuse()     { r.reused++ }
func (r *reusable) times() int { return r.reused }

type travelling struct{ upperCase }

func (*travelling) Pack() (packed []byte, ok bool) { return []byte("packed"), true }
func (*travelling) Unpack(packed []byte) error     { return errors.New(string(packed)) }

type reusablePortable struct{ reusable }

func (*reusablePortable) Pack() (packed []byte, ok bool) { return []byte("packed"), true }
func (*reusablePortable) Unpack(packed []byte) error     { return errors.New(string(packed)) }

// TestProgramThatCannotServe: before Ready, so that its generation is rolled back.
func TestProgramThatCannotServe(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]string{
		"refuses":  "prefork worker: open the shop's books: no such file\n",
		"forgets":  "serve has returned and has not served",
		"nil http": "ServeHTTP got no handler",
		"nil fast": "ServeFastHTTP got no handler",
		"nil":      "Serve got no function",
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			listener, _ := mustListen(t)
			c := startProgram(t, listener, program)
			c.receive(t) // Hello
			c.welcome(t, []byte("{}"))
			c.mustSay(t)
			c.mustExit(t, 1, want)
		})
	}
}

func TestProgramThatPanics(t *testing.T) {
	t.Parallel()
	listener, _ := mustListen(t)
	c := startProgram(t, listener, "panics")
	c.receive(t) // Hello
	c.welcome(t, []byte("{}"))
	c.mustSay(t)
	within(t, "exit of the worker", func() { _ = c.cmd.Wait() }) // ProcessState says the same
	if code, said := c.cmd.ProcessState.ExitCode(), c.said(t); code != 2 || !strings.HasPrefix(said, "panic: the books are closed\n") {
		t.Errorf("exit code %d, stderr %q, want 2 and the panic", code, said)
	}
}

// TestProgramIsToldToLeaveWhilePreparing: nobody waits for what it prepares.
func TestProgramIsToldToLeaveWhilePreparing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, words string
		act         func(testing.TB, *child)
		code        int
		say         []ipc.Message
	}{
		{name: "drain", act: func(t testing.TB, c *child) { c.send(t, ipc.Drain{}) }},
		{name: "signal", act: func(t testing.TB, c *child) { c.signal(t, unix.SIGTERM) }, say: []ipc.Message{ipc.Leaving{Reason: "SIGTERM"}}},
		{name: "garbage", act: func(t testing.TB, c *child) { c.sendGarbage(t) }, code: 1, words: "the master makes no sense"},
		{name: "second welcome", act: func(t testing.TB, c *child) { c.welcome(t, []byte("{}")) }, code: 1, words: "ipc.Welcome to a worker that is preparing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, _ := mustListen(t)
			c := startProgram(t, listener, "prepares")
			c.receive(t) // Hello
			c.welcome(t, []byte("{}"))
			test.act(t, c)
			c.mustSay(t, test.say...)
			c.mustExit(t, test.code, test.words)
		})
	}
}

func TestProgramLeavesItsEngine(t *testing.T) {
	t.Parallel()
	listener, address := mustListen(t)
	c := startProgram(t, listener, "leaves").serving(t, ipc.Settings{})
	mustDial(t, address).write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	within(t, "end of the worker", func() {
		for err := error(nil); err == nil; {
			_, _, err = c.conn.Receive()
		}
	})
	c.mustExit(t, 1, "serve has returned before its engine has ended")
}

// TestProgramAfterItsDrain: what it does then is part of its life, and its result
// is the worker's.
func TestProgramAfterItsDrain(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]string{
		"tidies": "write the books: no space left",
		"again":  "a worker serves once in its life",
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			listener, _ := mustListen(t)
			c := startProgram(t, listener, program).serving(t, ipc.Settings{})
			c.send(t, ipc.Drain{})
			c.mustSay(t, ipc.Left{})
			c.mustExit(t, 1, want)
		})
	}
}

func TestProgramStartedByHand(t *testing.T) {
	t.Parallel()
	var c child
	c.exec(t, nil, envProgram+"=http")
	c.mustExit(t, 2, "prefork: there is no master, and this program is a worker: start it by: prefork run -- prefork "+Arg)
}

// TestProgramKeepsItsName: only who runs the master's binary needs another one.
func TestProgramKeepsItsName(t *testing.T) {
	t.Parallel()
	listener, _ := mustListen(t)
	c := startProgram(t, listener, "http").standby(t, ipc.Settings{})
	got, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.cmd.Process.Pid))
	if err != nil || string(got) == commandName+"\n" {
		t.Errorf("comm is %q, %v, want the program's own", got, err)
	}
	c.mustDrain(t, "")
}
