package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// collect is an emit that remembers.
type collect []line

func (c *collect) emit(text string, dropped int) { *c = append(*c, line{text, dropped}) }

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", LineMax)
	tests := map[string]struct {
		in   string
		want []string
	}{
		"nothing":            {"", nil},
		"one":                {"a\n", []string{"a"}},
		"without line feed":  {"a\nb", []string{"a", "b"}},
		"empty lines":        {"\n\na\n\n", []string{"", "", "a", ""}},
		"kept as it is":      {"a\r\n\xff\x00b\n", []string{"a\r", "\xff\x00b"}},
		"almost too long":    {long[1:] + "\nb\n", []string{long[1:], "b"}},
		"just in one piece":  {long + "\nb\n", []string{long, "b"}},
		"one byte too long":  {long + "yb\n", []string{long, "yb"}},
		"two pieces":         {long + long + "\n\nb\n", []string{long, long, "", "b"}},
		"long, no line feed": {long + long, []string{long, long}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got collect
			if err := Lines(strings.NewReader(test.in), got.emit); err != nil {
				t.Error(err)
			}
			var want collect
			for _, text := range test.want {
				want.emit(text, 0)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %.200v, want %.200v", got, want)
			}
		})
	}
}

func TestLinesReportsAReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var got collect
	err := Lines(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), got.emit)
	if want := (collect{{"a", 0}, {"b", 0}}); !errors.Is(err, broken) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v, %v", got, err, want, broken)
	}
}

// A child of the worker can hold the pipe open for ever; closing the read end
// is then the way out.
func TestLinesEndsWhenItsFileIsClosed(t *testing.T) {
	t.Parallel()
	p := mustStart(t, Spec{Program: shell("echo up; sleep 1000 & exit")})
	first := make(chan string, 1)
	ended := make(chan error)
	go func() { ended <- Lines(p.Stdout, func(text string, _ int) { first <- text }) }()
	if got := <-first; got != "up" {
		t.Errorf("got %q, want up", got)
	}
	p.Wait()
	if err := p.Stdout.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// The consumer is stuck from the first line on; the worker writes far more than
// pipe and queue hold, and ends all the same. Each line is accounted for.
func TestLinesNeverBlocksTheWorker(t *testing.T) {
	t.Parallel()
	const count = 200_000
	p := mustStart(t, Spec{Program: impersonate(t, "flood", fmt.Sprint(count))})
	stuck := make(chan struct{})
	var got collect
	ended := make(chan error)
	go func() {
		ended <- Lines(p.Stdout, func(text string, dropped int) {
			<-stuck
			got.emit(text, dropped)
		})
	}()
	if status := p.Wait(); status != (Status{}) {
		t.Fatalf("the worker: %v", status)
	}
	close(stuck)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	number := 0
	for _, l := range got {
		number += l.dropped
		if lastCount := l.text == ""; lastCount {
			break
		}
		if want := fmt.Sprintf("line %d", number); l.text != want {
			t.Fatalf("got %q, want %q", l.text, want)
		}
		number++
	}
	if number != count {
		t.Errorf("%d lines came or were counted as dropped, want %d", number, count)
	}
	if len(got) == count {
		t.Error("no line was dropped: the test wrote too little to show anything")
	}
}

func TestLineQueueIsBounded(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty lines": "", "long lines": strings.Repeat("x", LineMax)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var q lineQueue
			fits := linesPendingMax / (line{text: text}).cost()
			for range fits + 3 {
				q.push(text)
			}
			if q.dropped != 3 || len(q.lines) != fits {
				t.Errorf("got %d lines and %d dropped, want %d and 3", len(q.lines), q.dropped, fits)
			}
			q.next()
			q.push(text)
			if got, want := q.lines[len(q.lines)-1], (line{text, 3}); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func flood(args []string) int {
	var count int
	if _, err := fmt.Sscan(args[0], &count); err != nil {
		return 1
	}
	out := bufio.NewWriter(os.Stdout)
	for i := range count {
		fmt.Fprintf(out, "line %d\n", i)
	}
	if out.Flush() != nil {
		return 1
	}
	return 0
}

func TestTail(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("x", TailMax)
	tests := map[string]struct {
		writes []string
		want   string
	}{
		"nothing":       {nil, ""},
		"short":         {[]string{"panic: ", "boom\n", "\n"}, "panic: boom"},
		"first line":    {[]string{"half a line\n", full[:TailMax-5], "\nend\n"}, "end"},
		"one long line": {[]string{"start", full}, full},
		"just full":     {[]string{"a\n", full[:TailMax-2]}, "a\n" + full[:TailMax-2]},
		"big write":     {[]string{"lost\n", full + "\nend\n"}, "end"},
		"not UTF-8":     {[]string{"a\xffb"}, "a\uFFFDb"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tail Tail
			for _, w := range test.writes {
				if n, err := io.WriteString(&tail, w); n != len(w) || err != nil {
					t.Errorf("got %d, %v", n, err)
				}
			}
			if got := tail.String(); got != test.want {
				t.Errorf("got %.80q, want %.80q", got, test.want)
			}
		})
	}
}

// However much a worker writes, a Tail does not grow.
func TestTailStaysSmall(t *testing.T) {
	t.Parallel()
	var tail Tail
	for size := 0; size < 3*TailMax; size += 100 {
		_, _ = tail.Write(make([]byte, size)) // it never fails
	}
	if got, limit := cap(tail.kept), 3*TailMax; got > limit {
		t.Errorf("got %d bytes of buffer, want at most %d", got, limit)
	}
}
