package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestThousandClients comes with a thousand at once. The backend keeps those
// who got in until the first of the others was told to come again; then it is
// quick. Each gets its answer or a clear refusal.
func TestThousandClients(t *testing.T) {
	t.Parallel()
	const clients = 1000
	var inside, most, served, busy, turnedAway atomic.Int32
	crowded := make(chan struct{})
	var firstBusy sync.Once
	backend := newFakeBackend()
	backend.atState = func(ctx context.Context) error {
		now := inside.Add(1)
		defer inside.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		select {
		case <-crowded:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s := startServer(t, backend, nil)
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			switch status, body := askRaw(t, s.path); {
			case status == http.StatusOK:
				served.Add(1)
			case status == http.StatusServiceUnavailable && strings.Contains(body, "64 clients are being served, which is the limit: try again"):
				busy.Add(1)
				firstBusy.Do(func() { close(crowded) })
			case status == 0 && body == syscall.EAGAIN.Error(): // by a kernel whose somaxconn is low
				turnedAway.Add(1)
			default:
				t.Errorf("got %d %s", status, body)
			}
		})
	}
	group.Wait()
	t.Logf("%d were served, %d told to come again, %d turned away by the kernel", served.Load(), busy.Load(), turnedAway.Load())
	if most.Load() > 64 {
		t.Errorf("%d were served at once, want at most 64", most.Load())
	}
	if served.Load() < 64 || busy.Load() == 0 {
		t.Errorf("%d were served and %d told to come again", served.Load(), busy.Load())
	}
}

// askRaw asks for the status over a bare connection: a thousand http.Clients
// would need more goroutines than the race detector follows.
func askRaw(t *testing.T, path string) (status int, body string) {
	c, err := net.Dial("unix", path)
	if errors.Is(err, syscall.EAGAIN) {
		return 0, syscall.EAGAIN.Error()
	}
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Error(err)
		return 0, ""
	}
	if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: prefork\r\n\r\n"); err != nil {
		t.Error(err)
		return 0, ""
	}
	return readResponse(t, c)
}

func TestCrowdIsToldToComeAgain(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	backend := newFakeBackend()
	backend.do = func(ctx context.Context, c Command) (Answer, error) {
		arrived <- struct{}{}
		<-release
		return Answer{Result: ResultOK}, nil
	}
	s := startServer(t, backend, func(l *limits) { l.clients, l.turn = 2, 10*time.Millisecond })
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			if answer, err := Dial(s.path).Do(t.Context(), Command{Verb: Reload}); err != nil || answer.Result != ResultOK {
				t.Errorf("a client inside: %+v, %v", answer, err)
			}
		})
		receive(t, "a client reaches the backend", arrived)
	}
	answer, err := Dial(s.path).Do(t.Context(), Command{Verb: Stop})
	want := Answer{Result: ResultBusy, Error: "2 clients are being served, which is the limit: try again in a moment"}
	if err != nil || answer != want {
		t.Errorf("the third client: got %+v, %v, want %+v", answer, err, want)
	}
	close(release)
	group.Wait()
	if _, err := Dial(s.path).Status(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestSilentConnectionsMakeRoom fills every place with clients who say nothing.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), func(l *limits) { l.connections, l.read = 3, 250*time.Millisecond })
	for range 10 {
		dial(t, s.path)
	}
	if _, err := Dial(s.path).Status(t.Context()); err != nil {
		t.Errorf("behind the silent ones: %v", err)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), func(l *limits) { l.connections, l.read = 1, patience })
	first, second := dial(t, s.path), dial(t, s.path)
	if _, err := io.WriteString(second, "GET /v1/status HTTP/1.1\r\nHost: prefork\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := second.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the second got %d bytes, %v, while the first is there", n, err)
	}
	if err := errors.Join(first.Close(), second.SetReadDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	if status, body := readResponse(t, second); status != http.StatusOK {
		t.Errorf("got %d %s, want 200", status, body)
	}
}

func TestFollowersLeaveRoomForCommands(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), func(l *limits) { l.clients, l.followers, l.turn = 3, 2, 10*time.Millisecond })
	for range 2 {
		follower, err := Dial(s.path).Events(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer follower.Close()
	}
	_, err := Dial(s.path).Events(t.Context(), 0)
	if want := "ask the master for its events: 2 clients follow the events, which is the limit: end one of them"; err == nil || err.Error() != want {
		t.Errorf("the third follower: got %v, want %s", err, want)
	}
	if _, err := Dial(s.path).Do(t.Context(), Command{Verb: Stop}); err != nil {
		t.Errorf("a command: %v", err)
	}
}

func TestHalfRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), func(l *limits) { l.read = 300 * time.Millisecond })
	for name, tc := range map[string]struct {
		half   string
		status int // 0: the connection just ends
		want   string
	}{
		"nothing":       {half: ""},
		"half a line":   {half: "GET /v1/sta", status: http.StatusBadRequest},
		"half a header": {half: "POST /v1/reload HTTP/1.1\r\nHost: prefork\r\nContent-Le", status: http.StatusBadRequest},
		"half a body": {
			half:   "POST /v1/reload HTTP/1.1\r\nHost: prefork\r\nContent-Length: 20\r\n\r\n{",
			status: http.StatusRequestTimeout, want: "the body did not come within 300ms: send it at once",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, s.path)
			if _, err := io.WriteString(c, tc.half); err != nil {
				t.Fatal(err)
			}
			if tc.status == 0 {
				if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
					t.Errorf("got %q, %v, want the end", rest, err)
				}
				return
			}
			if status, body := readResponse(t, c); status != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("got %d %s, want %d %s", status, body, tc.status, tc.want)
			}
		})
	}
}

func TestWhatIsNotHTTPIsRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	for name, tc := range map[string]struct {
		sent   string
		status int
	}{
		"garbage":            {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		"zero bytes":         {strings.Repeat("\x00", 100) + "\r\n\r\n", 400},
		"no host":            {"GET /v1/status HTTP/1.1\r\n\r\n", 400},
		"HTTP/9":             {"GET /v1/status HTTP/9.0\r\nHost: prefork\r\n\r\n", 505},
		"huge header":        {"GET /v1/status HTTP/1.1\r\nHost: prefork\r\nX: " + strings.Repeat("x", headerMax) + "\r\n\r\n", 431},
		"endless line":       {"GET /" + strings.Repeat("x", 2*headerMax), 431},
		"strange encoding":   {"POST /v1/reload HTTP/1.1\r\nHost: prefork\r\nTransfer-Encoding: strange\r\n\r\n", 501},
		"two lengths":        {"POST /v1/reload HTTP/1.1\r\nHost: prefork\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400},
		"endless chunks":     {"POST /v1/reload HTTP/1.1\r\nHost: prefork\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + strings.Repeat(" ", 2*bodyMax), 413},
		"question of nobody": {"OPTIONS * HTTP/1.1\r\nHost: prefork\r\n\r\n", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, s.path)
			if _, err := io.WriteString(c, tc.sent); err != nil {
				t.Fatal(err)
			}
			if status, body := readResponse(t, c); status != tc.status {
				t.Errorf("got %d %s, want %d", status, body, tc.status)
			}
		})
	}
}

func TestHeaderOfHonestSizeIsTaken(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	c := dial(t, s.path)
	head := "GET /v1/status HTTP/1.1\r\nHost: prefork\r\nX: "
	if _, err := io.WriteString(c, head+strings.Repeat("x", headerMax-len(head)-100)+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if status, body := readResponse(t, c); status != http.StatusOK {
		t.Errorf("got %d %s, want 200", status, body)
	}
}

// reloads are the ways to send a reload that differ for net/http.
var reloads = map[string]string{
	"without a body": "POST /v1/reload HTTP/1.1\r\nHost: prefork\r\nContent-Length: 0\r\n\r\n",
	"with a body":    "POST /v1/reload HTTP/1.1\r\nHost: prefork\r\nContent-Length: 2\r\n\r\n{}",
	"in chunks":      "POST /v1/reload HTTP/1.1\r\nHost: prefork\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
}

func TestVanishedClientEndsItsContext(t *testing.T) {
	t.Parallel()
	for name, request := range reloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, ended := make(chan struct{}), make(chan error, 1)
			backend := newFakeBackend()
			backend.do = func(ctx context.Context, _ Command) (Answer, error) {
				close(arrived)
				<-ctx.Done()
				ended <- ctx.Err()
				return Answer{}, ctx.Err()
			}
			s := startServer(t, backend, nil)
			c := dial(t, s.path)
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			receive(t, "the command reaches the backend", arrived)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, "the ctx ends", ended); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
}

// TestLongCommandOutlivesTheDeadlines runs a command for far longer than a
// client may take to send it.
func TestLongCommandOutlivesTheDeadlines(t *testing.T) {
	t.Parallel()
	backend := newFakeBackend()
	backend.do = func(ctx context.Context, _ Command) (Answer, error) {
		select {
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		case <-time.After(600 * time.Millisecond): // the length of the command, not a wait for something
			return Answer{Result: ResultOK}, nil
		}
	}
	s := startServer(t, backend, func(l *limits) { l.read, l.write = 250*time.Millisecond, 250*time.Millisecond })
	for name, request := range reloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, s.path)
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			if status, body := readResponse(t, c); status != http.StatusOK {
				t.Errorf("got %d %s, want 200", status, body)
			}
		})
	}
}

// TestStuckReaderGivesItsTurnBack asks for more than the socket's buffers hold,
// and never reads it.
func TestStuckReaderGivesItsTurnBack(t *testing.T) {
	t.Parallel()
	backend := newFakeBackend()
	backend.state = strings.Repeat("x", 4<<20)
	s := startServer(t, backend, func(l *limits) { l.clients, l.turn, l.write = 1, patience, 100*time.Millisecond })
	stuck := dial(t, s.path)
	if _, err := io.WriteString(stuck, "GET /v1/status HTTP/1.1\r\nHost: prefork\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stuck one has the turn", func() bool { return len(s.turns) == 1 })
	if answer, err := Dial(s.path).Do(t.Context(), Command{Verb: Stop}); err != nil || answer.Result != ResultOK {
		t.Errorf("the next client: got %+v, %v", answer, err)
	}
}

// TestStuckFollowerIsDroppedAlone has one follower that never reads, and one
// that does.
func TestStuckFollowerIsDroppedAlone(t *testing.T) {
	t.Parallel()
	s, good := startFollower(t, func(l *limits) { l.write = 500 * time.Millisecond })
	stuck := dial(t, s.path)
	if _, err := io.WriteString(stuck, "GET /v1/events HTTP/1.1\r\nHost: prefork\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stuck one follows", func() bool { return s.followers.count() == 2 })
	filler := strings.Repeat("x", eventMax/2)
	for i := 0; s.followers.count() == 2; i++ {
		s.backend.Publish(Event{Message: filler, Fields: map[string]any{"number": i}})
		event, err := good.Next(t.Context())
		if err != nil || event.Fields["number"] != float64(i) {
			t.Fatalf("the good follower got %v, %v, want number %d", event.Fields, err, i)
		}
	}
	publish(s.backend.Hub, 0, 1)
	checkEvents(t, good, 0, 1)
}

// TestVanishedFollowerIsForgotten needs no event to notice.
func TestVanishedFollowerIsForgotten(t *testing.T) {
	t.Parallel()
	s, follower := startFollower(t, nil)
	follower.Close()
	eventually(t, "the server forgets the follower", func() bool { return s.followers.count() == 0 })
	eventually(t, "the hub forgets the follower", func() bool {
		s.backend.Hub.mu.Lock()
		defer s.backend.Hub.mu.Unlock()
		return len(s.backend.Hub.followers) == 0
	})
}

func TestShutdownWaitsForCommands(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	backend := newFakeBackend()
	backend.do = func(context.Context, Command) (Answer, error) {
		close(arrived)
		<-release
		return Answer{Result: ResultOK, Generation: 9}, nil
	}
	s := startServer(t, backend, nil)
	answers, shut := make(chan Answer, 1), make(chan error, 1)
	go func() {
		answer, err := Dial(s.path).Do(t.Context(), Command{Verb: Stop})
		if err != nil {
			t.Error(err)
		}
		answers <- answer
	}()
	receive(t, "the command reaches the backend", arrived)
	go func() { shut <- s.Shutdown(t.Context()) }()
	eventually(t, "the socket goes", func() bool {
		_, err := Dial(s.path).Status(t.Context())
		return errors.Is(err, ErrNoMaster)
	})
	close(release)
	if got, want := receive(t, "the answer", answers), (Answer{Result: ResultOK, Generation: 9}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := receive(t, "the server shuts down", shut); err != nil {
		t.Error(err)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	for name, letsGo := range map[string]bool{"backend that heeds its ctx": true, "backend that does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, release := make(chan struct{}), make(chan struct{})
			backend := newFakeBackend()
			backend.do = func(ctx context.Context, _ Command) (Answer, error) {
				close(arrived)
				if letsGo {
					<-ctx.Done()
				} else {
					<-release
				}
				return Answer{Result: ResultOK}, nil
			}
			s := startServer(t, backend, func(l *limits) {
				l.connections = 1 // so that the server waits for a place meanwhile
				if !letsGo {
					l.grace = 10 * time.Millisecond
				}
			})
			t.Cleanup(func() { // BEFORE startServer's own, which shuts down again
				close(release)
				s.limits.grace = patience
			})
			answered := make(chan error, 1)
			go func() {
				_, err := Dial(s.path).Do(t.Context(), Command{Verb: Reload})
				answered <- err
			}()
			receive(t, "the command reaches the backend", arrived)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			err := s.Shutdown(ctx)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded", err)
			}
			if complains := err != nil && strings.Contains(err.Error(), "does not end"); complains == letsGo {
				t.Errorf("got %v", err)
			}
			if err := receive(t, "the client gets an end", answered); err == nil {
				t.Error("the client got an answer, want an error")
			}
		})
	}
}

// readResponse reads a whole response, and the end of the connection behind it.
func readResponse(t *testing.T, c net.Conn) (status int, body string) {
	reader := bufio.NewReader(c)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, fmt.Sprintf("no response: %v", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the response: %v, want the end", err)
	}
	return response.StatusCode, string(text)
}

func (f *followers) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ends)
}
