package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestClientGetsTheStatus(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	got, err := Dial(s.path).Status(t.Context())
	if err != nil || got.Name != "web" || got.PID != os.Getpid() || got.State != "serving" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestClientCommands(t *testing.T) {
	t.Parallel()
	for _, want := range []Command{
		{Verb: Reload}, {Verb: Reload, Timeout: time.Minute}, {Verb: Scale, Workers: "-1"},
		{Verb: Upgrade, Timeout: 1234567 * time.Microsecond}, {Verb: Stop}, {Verb: Stop, Now: true}, {Verb: Reopen},
	} {
		s := startServer(t, newFakeBackend(), nil)
		answer, err := Dial(s.path).Do(t.Context(), want)
		if err != nil || answer != (Answer{Result: ResultOK, Generation: 2, Workers: 4}) {
			t.Errorf("%+v: got %+v, %v", want, answer, err)
		}
		if !slices.Equal(s.backend.asked, []Command{want}) {
			t.Errorf("the backend was asked %+v, want %+v", s.backend.asked, want)
		}
	}
}

func TestClientTakesARefusalForAnAnswer(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	answer, err := Dial(s.path).Do(t.Context(), Command{Verb: "sing"})
	if err != nil || answer.Result != ResultRefused || !strings.Contains(answer.Error, `unknown path "/v1/sing"`) {
		t.Errorf("got %+v, %v", answer, err)
	}
}

func TestClientTellsWhyThereIsNoStatus(t *testing.T) {
	t.Parallel()
	backend := newFakeBackend()
	backend.atState = func(context.Context) error { return errors.New("planted") }
	s := startServer(t, backend, nil)
	_, err := Dial(s.path).Status(t.Context())
	if want := "ask the master for its status: ask for the status: planted"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestClientFollowsEvents(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	want := Event{
		Time: time.Now().UTC(), Level: "info", Message: "worker <ready> & serving\nline two",
		Fields: map[string]any{"slot": 2.0, "address": "127.0.0.1:80"},
	}
	s.backend.Publish(want)
	follower, err := Dial(s.path).Events(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	got, err := follower.Next(t.Context())
	if err != nil || !got.Time.Equal(want.Time) || got.Message != want.Message || got.Level != want.Level ||
		got.Fields["slot"] != 2.0 || got.Fields["address"] != "127.0.0.1:80" {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	publish(s.backend.Hub, 0, 3)
	checkEvents(t, follower, 0, 3)
}

// TestClientSeesTheEnd tells apart how a stream ends.
func TestClientSeesTheEnd(t *testing.T) {
	t.Parallel()
	t.Run("the hub is closed", func(t *testing.T) {
		t.Parallel()
		s, follower := startFollower(t, nil)
		s.backend.Close()
		checkEnd(t, follower, io.EOF)
	})
	t.Run("the server shuts down", func(t *testing.T) {
		t.Parallel()
		s, follower := startFollower(t, nil)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		checkEnd(t, follower, io.EOF)
	})
	t.Run("the ctx of Next ends", func(t *testing.T) {
		t.Parallel()
		_, follower := startFollower(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := follower.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
	})
	t.Run("the master is killed", func(t *testing.T) {
		t.Parallel()
		path := newSocketPath(t)
		master := startChild(t, os.Geteuid(), "serve", path)
		follower, err := Dial(path).Events(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer follower.Close()
		master.kill(t)
		checkEnd(t, follower, io.ErrUnexpectedEOF)
	})
}

func TestClientIsToldThatItWasSlow(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), func(l *limits) { l.write = patience })
	follower, err := Dial(s.path).Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	// More than the socket's buffers and the queue together can hold.
	filler := strings.Repeat("x", 8<<10)
	for i := range 2 * queueMax {
		s.backend.Publish(Event{Message: filler, Fields: map[string]any{"number": i}})
	}
	for i := 0; ; i++ {
		event, err := follower.Next(t.Context())
		if errors.Is(err, ErrSlow) {
			break
		}
		if err != nil || event.Fields["number"] != float64(i) {
			t.Fatalf("got event %v, %v, want number %d", event.Fields, err, i)
		}
	}
	checkEnd(t, follower, io.EOF)
}

func TestEventsThatCannotBeSentWhole(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]Event{
		"fields that are no JSON":  {Message: "kept", Fields: map[string]any{"channel": make(chan int)}},
		"fields that are too many": {Message: "kept", Fields: map[string]any{"text": strings.Repeat("x", eventMax)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, follower := startFollower(t, nil)
			s.backend.Publish(event)
			got, err := follower.Next(t.Context())
			if err != nil || got.Message != "kept" || got.Fields["left_out"] == nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("a message that is too long", func(t *testing.T) {
		t.Parallel()
		s, follower := startFollower(t, nil)
		s.backend.Publish(Event{Message: strings.Repeat("€", eventMax)})
		got, err := follower.Next(t.Context())
		if err != nil || got.Message != strings.Repeat("€", messageMax/len("€")) {
			t.Errorf("got %d bytes, %v", len(got.Message), err)
		}
	})
}

func TestClientAndAMasterThatHangs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(filepath.Dir(filepath.Dir(newSocketPath(t))), "silent")
	silent, err := net.Listen("unix", path) // connects, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client := Dial(path)
	client.patience = 20 * time.Millisecond
	short := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), client.patience)
		t.Cleanup(cancel)
		return ctx
	}
	for name, ask := range map[string]func(*testing.T) error{
		"status": func(t *testing.T) error { _, err := client.Status(t.Context()); return err },
		"do":     func(t *testing.T) error { _, err := client.Do(short(t), Command{Verb: Stop}); return err },
		"events": func(t *testing.T) error { _, err := client.Events(t.Context(), 0); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := ask(t)
			want := "no answer from the master on " + path + " in time: it may still be at it, so look at prefork status: context deadline exceeded"
			if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	t.Run("the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := client.Do(ctx, Command{Verb: Stop}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// TestClientAndStrangeAnswers lets something listen that is no master.
func TestClientAndStrangeAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ says, want string }{
		"hangs up":       {"", "ended before it answered"},
		"no HTTP":        {"SSH-2.0-OpenSSH\r\n", "talk to the master on"},
		"half an answer": {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "ended before it answered: unexpected EOF"},
		"no JSON":        {"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>", `(HTTP 404) is none that this version knows: "<html>"`},
		"other JSON":     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", `(HTTP 200) is none that this version knows: "{}"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Dial(listenAndSay(t, tc.says)).Do(t.Context(), Command{Verb: Stop})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to contain %q", err, tc.want)
			}
		})
	}
}

func TestClientBoundsALine(t *testing.T) {
	t.Parallel()
	longest := "data: {" + strings.Repeat(" ", eventMax-len("{}\n")) + "}\n"
	for name, tc := range map[string]struct {
		line string
		want error
	}{
		"the longest": {longest, nil},
		"one more":    {" " + longest, bufio.ErrTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			follower := newStream(io.NopCloser(strings.NewReader(tc.line+"\n")), func() {})
			defer follower.Close()
			if _, err := follower.Next(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// FuzzStream holds the client to its promise: whatever stands behind the socket,
// Next gives events or an error, and comes to an end.
func FuzzStream(f *testing.F) {
	f.Add("data: {}\n\n")
	f.Add("event: dropped\ndata: {}\n\n")
	f.Add(": comment\r\nid: 1\r\ndata: {\"level\":\"info\"}\r\n\r\ndata")
	event := encodeEvent(Event{Message: "m", Fields: map[string]any{"slot": 1}})
	f.Add(string(event))
	f.Fuzz(func(t *testing.T, wire string) {
		follower := newStream(io.NopCloser(strings.NewReader(wire)), func() {})
		defer follower.Close()
		for range len(wire) + 1 {
			if _, err := follower.Next(t.Context()); errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrTooLong) {
				return
			}
		}
		t.Errorf("%q does not end", wire)
	})
}

func startFollower(t *testing.T, change func(*limits)) (*testServer, Subscription) {
	t.Helper()
	s := startServer(t, newFakeBackend(), change)
	follower, err := Dial(s.path).Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(follower.Close)
	// The client has the header; wait until the server has subscribed, too.
	eventually(t, "the server subscribes", func() bool {
		s.backend.Hub.mu.Lock()
		defer s.backend.Hub.mu.Unlock()
		return len(s.backend.Hub.followers) == 1
	})
	return s, follower
}

func checkEnd(t *testing.T, follower Subscription, want error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if e, err := follower.Next(ctx); !errors.Is(err, want) {
		t.Errorf("got %+v, %v, want %v", e, err, want)
	}
}

// listenAndSay answers one connection with some bytes and hangs up.
func listenAndSay(t *testing.T, says string) (path string) {
	t.Helper()
	path = filepath.Join(filepath.Dir(filepath.Dir(newSocketPath(t))), "strange")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Read(make([]byte, 4096)) // the request, so that closing does not reset the connection
		_, _ = io.WriteString(c, says)
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return path
}
