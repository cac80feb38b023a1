package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/bench/peer"
	"prefork/internal/testproc"
)

func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string // part of the error; empty: none
	}{
		"nothing":             {},
		"everything":          {args: []string{"-repeat", "5", "-strict", "-write", "-install=false"}},
		"parts":               {args: []string{"-quick", "-scenario", "hang,crash", "-subject", "prefork,nginx"}},
		"unknown flag":        {args: []string{"-x"}, want: "-x"},
		"argument":            {args: []string{"hang"}, want: `argument "hang"`},
		"unknown scenario":    {args: []string{"-scenario", "hang,flood"}, want: "-scenario flood: unknown; choose of reload"},
		"unknown subject":     {args: []string{"-subject", "apache"}, want: "-subject apache: unknown; choose of prefork"},
		"never":               {args: []string{"-repeat", "0"}, want: "-repeat 0"},
		"too often":           {args: []string{"-repeat", "101"}, want: "-repeat 101"},
		"results of a part":   {args: []string{"-write", "-scenario", "hang"}, want: "-write: results are those of a full run"},
		"results of a glance": {args: []string{"-write", "-quick"}, want: "-write"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parse(test.args, new(strings.Builder))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	var stderr strings.Builder
	if code := run(t.Context(), []string{"-h"}, &strings.Builder{}, &stderr); code != exitDone || !strings.Contains(stderr.String(), "usage: lossless") {
		t.Errorf("-h: exit code %d, said %s", code, &stderr)
	}
	if code := run(t.Context(), []string{"-repeat", "0"}, &strings.Builder{}, &stderr); code != exitUsage {
		t.Errorf("exit code %d for a bad flag, want %d", code, exitUsage)
	}
}

// A short run with prefork alone: from the build to the verdict.
func TestRun(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	args := []string{"-quick", "-repeat", "1", "-subject", "prefork", "-scenario", "spread,cost", "-prefork", testproc.Trial(t)}
	if code := run(t.Context(), args, &stdout, &stderr); code != exitDone {
		t.Errorf("exit code %d, want %d", code, exitDone)
	}
	for _, part := range []string{
		"Who takes how much", "  prefork         800", "Not measured: it needs prefork and prefork-alone", "What prefork must keep", "  spread      lost      0",
	} {
		if !strings.Contains(stdout.String(), part) {
			t.Errorf("the output lacks %q", part)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", &stdout, &stderr)
	}
}

// ^C before anything has begun.
func TestInterruptedAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr strings.Builder
	args := []string{"-subject", "prefork", "-scenario", "hang", "-prefork", testproc.Trial(t)}
	if code := run(ctx, args, &strings.Builder{}, &stderr); code != exitBroken || !strings.Contains(stderr.String(), "context canceled") {
		t.Errorf("exit code %d, want %d and the reason:\n%s", code, exitBroken, &stderr)
	}
}

// ^C in the middle of a load, while a worker is stopped: what was started is ended
// at once, the worker too.
func TestInterruptedUnderLoad(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := programs{prefork: testproc.Trial(t), helpers: true}.subjects(options{subjects: []string{"prefork"}})[0]
	e := hang
	var pids []int
	e.under = func(ctx context.Context, s server, _ size) (int, error) {
		victims, err := s.Workers(ctx)
		if err != nil {
			return 0, err
		}
		if pids, err = s.Members(); err != nil {
			return 0, err
		}
		if err := signalMember(s, victims[0], syscall.SIGSTOP); err != nil {
			return 0, err
		}
		cancel()
		return 1, pause(ctx, time.Hour)
	}
	l := &lab{dir: testproc.SocketDir(t), subjects: []subject{s}, size: quickSize, repeat: 1, log: io.Discard}
	if _, err := l.observe(ctx, e); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if len(pids) <= workers {
		t.Errorf("members: got %v, want a master and %d workers", pids, workers)
	}
	for _, pid := range pids {
		if title := titleOf(pid); title != "" {
			t.Errorf("process %d is left: %s", pid, title)
		}
	}
}

// Every subject that is there does what scenarios ask of it.
func TestServers(t *testing.T) {
	t.Parallel()
	p := programs{prefork: testproc.Trial(t), helpers: true, missing: map[string]string{}}
	for name, path := range map[string]*string{"nginx": &p.nginx, "gunicorn": &p.gunicorn} {
		found, err := peer.Find(t.Context(), peer.Program{Name: name}, false, &strings.Builder{})
		if err != nil {
			p.missing[name] = err.Error()
		}
		*path = found
	}
	for _, s := range p.subjects(options{}) {
		t.Run(s.name, func(t *testing.T) {
			if s.missing != "" {
				t.Skip(s.missing)
			}
			t.Parallel()
			checkServer(t, s)
		})
	}
}

func checkServer(t *testing.T, s subject) {
	at, err := peer.NewPlace(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := s.start(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	first := mustWorkers(t, server, workers)
	if err := server.Scale(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	mustWorkers(t, server, 1)
	if err := server.Scale(t.Context(), workers); err != nil {
		t.Fatal(err)
	}
	before := mustWorkers(t, server, workers)
	if err := server.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := mustWorkers(t, server, workers)
	if slices.ContainsFunc(after, func(pid int) bool { return slices.Contains(before, pid) || slices.Contains(first, pid) }) {
		t.Errorf("a reload left workers of %v in %v", before, after)
	}
	if err := signalMember(server, after[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err = awaitWorkers(t.Context(), server, func(now []int) bool { return len(now) == workers && !slices.Contains(now, after[0]) })
	if err != nil {
		t.Errorf("no successor of a worker that was killed: %v", err)
	}
	if err := signalMember(server, os.Getpid(), syscall.SIGKILL); err != nil { // not one of its processes: nothing happens
		t.Error(err)
	}
}

func mustWorkers(t *testing.T, s server, want int) []int {
	t.Helper()
	pids, err := s.Workers(t.Context())
	if err != nil || len(pids) != want {
		t.Fatalf("workers: got %v (%v), want %d", pids, err, want)
	}
	return pids
}

// A longer title is cut off in a drawing.
func TestTitlesFit(t *testing.T) {
	t.Parallel()
	const titleMax = 50
	for _, e := range []event{reloadNew, reloadKept, shrink, hang, spin, crash, spread, uneven} {
		if n := len([]rune(e.title)); n > titleMax {
			t.Errorf("%s: title of %d characters, want at most %d: %s", e.name, n, titleMax, e.title)
		}
	}
}
