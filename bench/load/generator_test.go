package load

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRunEveryRequestIsAnswered(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{NewConnection, KeepAlive} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := mustRun(t, Config{Addr: serveHello(t), Mode: mode, Rate: 200, Duration: time.Second, Clients: 5})
			if r.Scheduled != 200 || r.Lost() != 0 {
				t.Fatalf("want 200 scheduled, 0 lost:\n%s", r)
			}
			if r.BySlot[2] != 200 || r.ByGeneration[3] != 200 || r.ByPID[4242] != 200 {
				t.Errorf("want slot 2, generation 3, pid 4242 for all 200:\n%s", r)
			}
			want := 200
			if mode == KeepAlive {
				want = 5 // a low rate uses every connection too
			}
			if r.Connections != want {
				t.Errorf("connections: got %d, want %d", r.Connections, want)
			}
			if r.Latency.Min <= 0 || r.Latency.Max < r.Latency.Min {
				t.Errorf("latency: %s", r.Latency)
			}
		})
	}
}

func TestRunIPv6(t *testing.T) {
	t.Parallel()
	l := listenIPv6(t)
	addr := serveHTTP(t, l, func(http.ResponseWriter, *http.Request) {})
	if r := mustRun(t, Config{Addr: addr, Rate: 100, Duration: 100 * time.Millisecond}); r.Answered != 10 {
		t.Errorf("want 10 answered:\n%s", r)
	}
}

func TestRunClassOfFailure(t *testing.T) {
	t.Parallel()
	whole := respond(hello)
	tests := map[string]struct {
		answer string
		end    hangup
		want   Class
	}{
		"reset before the answer":      {answer: "", end: closeByReset, want: Reset},
		"reset in the answer":          {answer: whole[:len(whole)-5], end: closeByReset, want: Reset},
		"close before the answer":      {answer: "", end: closeInOrder, want: ClosedEarly},
		"close in the head":            {answer: whole[:12], end: closeInOrder, want: ClosedEarly},
		"close in the body":            {answer: whole[:len(whole)-5], end: closeInOrder, want: ClosedEarly},
		"no answer":                    {answer: "", end: hold, want: TimedOut},
		"half an answer":               {answer: whole[:len(whole)-5], end: hold, want: TimedOut},
		"status 503":                   {answer: "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", end: closeInOrder, want: BadAnswer},
		"not HTTP":                     {answer: "220 mail ready\r\n\r\n", end: hold, want: BadAnswer},
		"bytes after the answer's end": {answer: whole + "x", end: hold, want: BadAnswer},
		"more than an answer may have": {answer: respond(strings.Repeat("x", answerMax)), end: hold, want: BadAnswer},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Addr: serveScript(t, test.answer, test.end), Rate: 100, Duration: 50 * time.Millisecond}
			if test.want == TimedOut {
				cfg.Timeout = 200 * time.Millisecond
			}
			r := mustRun(t, cfg)
			if r.Scheduled != 5 || r.Failed[test.want] != 5 {
				t.Errorf("want 5 scheduled, 5 failed by class %s:\n%s", test.want, r)
			}
			if len(r.Failures) != 5 || r.Failures[0].Class != test.want || r.Failures[0].Reason == "" {
				t.Errorf("want 5 failures of class %s with reasons, got %v", test.want, r.Failures)
			}
			for _, f := range r.Failures {
				if f.At < f.Due+cfg.Timeout || f.At > r.Elapsed {
					t.Errorf("due at %s and failed at %s of %s", f.Due, f.At, r.Elapsed)
				}
			}
		})
	}
}

func TestRunRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{NewConnection, KeepAlive} {
		r := mustRun(t, Config{Addr: refusingAddr(t), Mode: mode, Rate: 100, Duration: 50 * time.Millisecond})
		if r.Failed[Refused] != 5 || r.Sent != 5 {
			t.Errorf("mode %s: want 5 sent and refused:\n%s", mode, r)
		}
	}
}

// An answer that is complete counts, whatever the server does to the connection
// after it.
func TestRunAnswerBeforeReset(t *testing.T) {
	t.Parallel()
	r := mustRun(t, Config{Addr: serveScript(t, respond(hello), closeByReset), Rate: 100, Duration: 50 * time.Millisecond})
	if r.Answered != 5 {
		t.Errorf("want 5 answered:\n%s", r)
	}
}

// A server that ignores "Connection: close" delays the end, and nothing else.
func TestRunServerNeverCloses(t *testing.T) {
	t.Parallel()
	addr := serveScript(t, respond(hello), waitForRequest)
	r := mustRun(t, Config{Addr: addr, Rate: 100, Duration: 50 * time.Millisecond, Timeout: 2 * time.Second})
	if r.Answered != 5 || r.Connections != 5 {
		t.Errorf("want 5 answered over 5 connections:\n%s", r)
	}
}

func TestKeptConnectionThatTheServerCloses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer           string
		answered, closed int
	}{
		// The first request is answered, the second meets the close and fails, the
		// third opens a new connection, and so on.
		"without a word":         {answer: respond(hello), answered: 5, closed: 5},
		"announced by a header":  {answer: respond(hello, "Connection: close"), answered: 10},
		"announced by HTTP/1.0":  {answer: "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", answered: 10},
		"body ends by the close": {answer: "HTTP/1.1 200 OK\r\n\r\n" + hello, answered: 10},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveScript(t, test.answer, closeInOrder)
			r := mustRun(t, Config{Addr: addr, Mode: KeepAlive, Clients: 1, Rate: 20, Duration: 500 * time.Millisecond})
			if r.Answered != test.answered || r.Failed[ClosedEarly] != test.closed {
				t.Errorf("want %d answered, %d failed by class closed:\n%s", test.answered, test.closed, r)
			}
		})
	}
}

// One request meets a stall of the server's; those due meanwhile are delayed by
// it, and their latency says so although they were sent after it.
func TestLatencyCountsFromDue(t *testing.T) {
	t.Parallel()
	const stall = 400 * time.Millisecond
	var once sync.Once
	addr := serveHTTP(t, listen(t, "tcp4", "127.0.0.1:0"), func(http.ResponseWriter, *http.Request) {
		once.Do(func() { <-time.After(stall) })
	})
	r := mustRun(t, Config{Addr: addr, Mode: KeepAlive, Clients: 1, Rate: 100, Duration: time.Second})
	if r.Lost() != 0 || r.Latency.Max < stall {
		t.Errorf("want 0 lost and a latency of %s or more:\n%s", stall, r)
	}
	// Of the 40 due in the stall a quarter is late by far more than the 10 ms
	// that count as late, however slow this machine is.
	if r.Late < 10 || r.LagMax < stall/2 || r.Latency.P90 < stall/2 {
		t.Errorf("want 10 late or more, lag and p90 of %s or more:\n%s", stall/2, r)
	}
}

// Each client of a closed loop has one request under way, and asks again at once.
func TestClosedLoop(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{NewConnection, KeepAlive} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			const clients = 4
			var underWay, most atomic.Int64
			addr := serveHTTP(t, listen(t, "tcp4", "127.0.0.1:0"), func(http.ResponseWriter, *http.Request) {
				now := underWay.Add(1)
				for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
				}
				<-time.After(10 * time.Millisecond)
				underWay.Add(-1)
			})
			r := mustRun(t, Config{Addr: addr, Mode: mode, Closed: true, Clients: clients, Duration: 500 * time.Millisecond})
			if most.Load() != clients {
				t.Errorf("%d requests at once, want %d", most.Load(), clients)
			}
			// At most one each 10 ms and client; how many fewer is the machine's affair.
			if r.Lost() != 0 || r.Scheduled < 2*clients || r.Scheduled > 51*clients {
				t.Errorf("want %d to %d answered, 0 lost:\n%s", 2*clients, 51*clients, r)
			}
			if mode == KeepAlive && r.Connections != clients {
				t.Errorf("%d connections, want %d", r.Connections, clients)
			}
		})
	}
}

func TestClosedLoopStops(t *testing.T) {
	t.Parallel()
	g, err := Start(t.Context(), Config{Addr: serveHello(t), Closed: true, Duration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Await(t.Context(), 100); err != nil {
		t.Error(err)
	}
	g.Stop()
	if r := g.Wait(); r.Lost() != 0 || r.Scheduled < 100 {
		t.Errorf("want 100 scheduled or more, 0 lost:\n%s", r)
	}
}

// The one that met the stall is slow; those behind it were sent late, and that is
// not the server's fault.
func TestSlowAnswersAreNamed(t *testing.T) {
	t.Parallel()
	const stall = 400 * time.Millisecond
	var once sync.Once
	addr := serveHTTP(t, listen(t, "tcp4", "127.0.0.1:0"), func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { <-time.After(stall) })
		_, _ = w.Write([]byte(hello)) // a client that left is the client's loss
	})
	r := mustRun(t, Config{Addr: addr, Mode: KeepAlive, Clients: 1, Rate: 100, Duration: time.Second, SlowAfter: stall * 3 / 4})
	if r.SlowAnswers != 1 || len(r.Slow) != 1 {
		t.Fatalf("want one slow answer:\n%s", r)
	}
	if s := r.Slow[0]; s.Due != 0 || s.Latency-s.Lag < stall || s.PID != 4242 {
		t.Errorf("slow answer %+v, want the first one, after %s, from pid 4242", s, stall)
	}
	if since := time.Since(r.Began); since < r.Elapsed {
		t.Errorf("began %s ago, and took %s", since, r.Elapsed)
	}
}

func TestSlowAnswersAreBounded(t *testing.T) {
	t.Parallel()
	var r Report
	for range slowKeptMax + 5 {
		r.countSlow(Slow{})
	}
	if len(r.Slow) != slowKeptMax || r.SlowAnswers != slowKeptMax+5 {
		t.Errorf("kept %d of %d", len(r.Slow), r.SlowAnswers)
	}
}

func TestUnsentIsCounted(t *testing.T) {
	t.Parallel()
	// The first keeps the one connection until its timeout, and that of the others
	// is microseconds later.
	r := mustRun(t, Config{
		Addr: serveScript(t, "", hold), Mode: KeepAlive, Clients: 1,
		Rate: RateMax, Duration: time.Millisecond, Timeout: 200 * time.Millisecond,
	})
	if r.Scheduled != 100 || r.Unsent == 0 || r.Failed[TimedOut] == 0 || r.Answered != 0 {
		t.Errorf("want 100 scheduled, some unsent, some timed out:\n%s", r)
	}
}

func TestStartAwaitStop(t *testing.T) {
	t.Parallel()
	g, err := Start(t.Context(), Config{Addr: serveHello(t), Rate: 100, Duration: time.Hour / 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Await(t.Context(), 10); err != nil {
		t.Error(err)
	}
	g.Stop()
	r := g.Wait()
	checkSums(t, r)
	if r.Answered < 10 || r.Lost() != 0 || r.Scheduled > 30_000 {
		t.Errorf("want 10 answered or more, 0 lost, the schedule cut short:\n%s", r)
	}
	if g.Answered() != r.Answered {
		t.Errorf("Answered: got %d, report says %d", g.Answered(), r.Answered)
	}
	if err := g.Await(t.Context(), r.Answered+1); err == nil {
		t.Error("Await for more answers than came returned nil")
	}
}

func TestContextEndsScheduleAndAwait(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	g, err := Start(ctx, Config{Addr: serveHello(t), Rate: 1, Duration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := g.Await(ctx, 1000); err == nil {
		t.Error("Await with a context that ended returned nil")
	}
	r := g.Wait()
	checkSums(t, r)
	if r.Lost() != 0 {
		t.Errorf("want 0 lost:\n%s", r)
	}
}

func TestStartRefusesBadConfig(t *testing.T) {
	t.Parallel()
	g, err := Start(t.Context(), Config{Addr: "192.0.2.1:80", Rate: 0, Mode: "flood"})
	if g != nil || err == nil {
		t.Fatalf("got %v, %v; want no generator and an error", g, err)
	}
	for _, part := range []string{"not a loopback address", "rate 0", `mode "flood"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q: all problems belong into one answer", err, part)
		}
	}
}

// More descriptors than the process may have: the generator's own trouble.
func TestClassifyOwnTrouble(t *testing.T) {
	t.Parallel()
	if got := classify(openError{errors.New("too many open files")}); got != unsent {
		t.Errorf("class: got %s, want %s", got, unsent)
	}
}
