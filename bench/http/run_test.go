package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
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
		"everything":          {args: []string{"-rounds", "5", "-write", "-install=false"}},
		"parts":               {args: []string{"-quick", "-mode", "keepalive,idle", "-subject", "prefork,nginx"}},
		"unknown flag":        {args: []string{"-x"}, want: "-x"},
		"argument":            {args: []string{"idle"}, want: `argument "idle"`},
		"unknown mode":        {args: []string{"-mode", "idle,flood"}, want: `"flood" is unknown; choose of keepalive, short, idle`},
		"unknown subject":     {args: []string{"-subject", "apache"}, want: `"apache" is unknown; choose of prefork`},
		"no subject":          {args: []string{"-subject", ""}, want: `"" is unknown`},
		"never":               {args: []string{"-rounds", "0"}, want: "-rounds 0"},
		"too often":           {args: []string{"-rounds", "101"}, want: "-rounds 101"},
		"results of a part":   {args: []string{"-write", "-mode", "idle"}, want: "-write: results are those of a full run"},
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
	all, err := parse(nil, io.Discard)
	if err != nil || all.rounds != roundsDefault || len(all.subjects) != len(definitions) || len(all.modes) != len(modes) {
		t.Errorf("nothing said: got %+v, %v, want everything", all, err)
	}
	if o, _ := parse([]string{"-quick", "-mode", "idle"}, io.Discard); o.rounds != roundsQuick || !slices.Equal(o.modes, []string{"idle"}) {
		t.Errorf("quick: got %+v", o)
	}
	var stderr strings.Builder
	if code := run(t.Context(), []string{"-h"}, io.Discard, &stderr); code != exitDone || !strings.Contains(stderr.String(), "usage: http") {
		t.Errorf("-h: exit code %d, said %s", code, &stderr)
	}
	if code := run(t.Context(), []string{"-rounds", "0"}, io.Discard, &stderr); code != exitUsage {
		t.Errorf("exit code %d for a bad flag, want %d", code, exitUsage)
	}
}

// tiny is enough to see that everything works.
var tiny = size{warm: 20 * time.Millisecond, slice: 50 * time.Millisecond, connections: 40}

func newTiny(t *testing.T, names ...string) (*lab, []subject) {
	t.Helper()
	w := workshop{dir: testproc.SocketDir(t), prefork: testproc.Binary(t), log: io.Discard}
	subjects, err := w.subjects(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLab(t.Context(), w, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.notes) == 0 && (len(l.serverCores) != 1 || len(l.generatorCores) != 1 || l.serverCores[0] == l.generatorCores[0]) {
		t.Errorf("cores: got %v and %v, want one each", l.serverCores, l.generatorCores)
	}
	l.size = tiny
	return l, subjects
}

// Every subject that is there answers in every mode; the figures are some.
func TestSubjects(t *testing.T) {
	t.Parallel()
	l, subjects := newTiny(t, subjectNames()...)
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			if s.missing != "" {
				t.Skip(s.missing)
			}
			t.Parallel()
			for _, m := range modes {
				got, err := l.measure(t.Context(), s, m)
				if err != nil {
					t.Errorf("%s: %v", m, err)
				} else if m != idle && (got.value <= 0 || got.perSecond <= 0 || got.server <= 0 || got.generator <= 0) {
					t.Errorf("%s: got %+v, want figures above zero", m, got)
				}
			}
			if (s.version != nil || s.module != "") && s.versionText(t.Context()) == "unknown" {
				t.Errorf("no version is known of %s", s.path)
			}
		})
	}
}

// From the flags to the table: what is missing is named, and what fails is given up.
func TestCompare(t *testing.T) {
	t.Parallel()
	l, subjects := newTiny(t, "prefork", "nethttp")
	broken := subject{definition: definition{name: "node", title: "Node.js", spec: plainSpec}, path: "/bin/false"}
	gone := subject{definition: definition{name: "gnet", title: "gnet"}, missing: "not\ninstalled"}
	found := results{subjects: append(subjects, broken, gone)}
	var err error
	if found.sections, err = l.compare(t.Context(), found.subjects, modeNames(), 2); err != nil {
		t.Fatal(err)
	}
	var stdout strings.Builder
	found.show(&stdout)
	for _, part := range []string{
		"Left out: gnet: not; installed", titles[keepAlive], titles[short], titles[idle], "  net/http  ", "What prefork must keep",
		"Node.js was given up after round 0: start Node.js: ended before its first answer", "no nginx: not asked for",
	} {
		if !strings.Contains(stdout.String(), part) {
			t.Errorf("the output lacks %q", part)
		}
	}
	for _, s := range found.sections {
		if ours := s.find("prefork"); len(ours.samples) != 2 {
			t.Errorf("%s: got %d rounds of prefork, want 2: %s", s.mode, len(ours.samples), ours.skipped)
		}
	}
	if t.Failed() {
		t.Log(stdout.String())
	}
}

// A program that is not there is said, and no reason to stop.
func TestMissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	w := workshop{dir: t.TempDir(), prefork: "/bin/true", log: io.Discard}
	subjects, err := w.subjects(t.Context(), []string{"prefork", "floor"})
	if err != nil || len(subjects) != 2 || subjects[0].missing != "" || !strings.Contains(subjects[1].missing, "cc is not installed") {
		t.Errorf("got %+v, %v, want that cc is not installed", subjects, err)
	}
}

// A server that closes connections which it has promised to keep has no figure.
func TestIdleNeedsConnectionsThatStay(t *testing.T) {
	t.Parallel()
	l, subjects := newTiny(t, "gnet")
	if subjects[0].missing != "" {
		t.Skip(subjects[0].missing)
	}
	closing := subjects[0]
	closing.spec = func(path string, at peer.Place, _ mode) (peer.Spec, error) { return gnetSpec(path, at, short) }
	if got, err := l.measure(t.Context(), closing, idle); err == nil || !strings.Contains(err.Error(), "not 40 connections") {
		t.Errorf("got %+v, %v, want that the server does not hold 40 connections", got, err)
	}
	if got, err := l.measure(t.Context(), closing, keepAlive); err == nil {
		t.Errorf("got %+v, want that requests are lost", got)
	}
}

// ^C under a load that would last for an hour, and before anything has begun.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	l, subjects := newTiny(t, "prefork")
	l.size.slice = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := l.compare(ctx, subjects, []string{"keepalive"}, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	var stderr strings.Builder
	args := []string{"-subject", "prefork", "-prefork", testproc.Binary(t)}
	if code := run(ctx, args, io.Discard, &stderr); code != exitBroken || !strings.Contains(stderr.String(), "compare: ") {
		t.Errorf("exit code %d, want %d and the reason:\n%s", code, exitBroken, &stderr)
	}
}
