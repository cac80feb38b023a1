package master

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// missingText is how the log says that lines are missing.
const missingText = "log lines are missing here"

func mustOutlet(t testing.TB, path string, stream io.Writer) *Outlet {
	t.Helper()
	o, err := NewOutlet(path, stream)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// mustNarrowPipe is a pipe with room for a page.
func mustNarrowPipe(t testing.TB) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(writer.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = reader.Close(), writer.Close() }) // may be closed already
	return reader, writer
}

func TestOutletWritesInOrder(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	o := mustOutlet(t, "", &all)
	want := ""
	for n := range 1000 {
		line := fmt.Sprintf("line %d\n", n)
		want += line
		if n, err := o.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("Write gives %d, %v; want %d, nil", n, err, len(line))
		}
	}
	o.Close()
	if all.String() != want {
		t.Errorf("the lines are not those that were written:\n%s", all.String())
	}
}

// TestOutletTellsWhatIsMissing: the number stands exactly where the lines would
// be, and nothing else is lost.
func TestOutletTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, format := range map[string]string{"text": "line %d\n", "JSON": `{"msg":"line %d"}` + "\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader, writer := mustNarrowPipe(t)
			o := mustOutlet(t, "", writer)
			const burst = outletLines + 1000
			got, next, gaps := bufio.NewScanner(reader), 0, 0
			read := func(until int) {
				for next < until {
					if !got.Scan() {
						t.Fatalf("the log ends before line %d: %v", next, got.Err())
					}
					if strings.Contains(got.Text(), missingText) {
						next += mustMissing(t, got.Text())
						gaps++
						continue
					}
					if want := strings.TrimSpace(fmt.Sprintf(format, next)); got.Text() != want {
						t.Fatalf("after %d gaps the log says %q, want %q", gaps, got.Text(), want)
					}
					next++
				}
			}
			for n := range 3 * burst {
				if n%burst == 0 { // room for some lines behind those that are missing
					read(n / 2)
					mustHaveRoom(t, o)
				}
				_, _ = fmt.Fprintf(o, format, n) // never fails
			}
			read(3 * burst)
			if gaps < 2 {
				t.Errorf("%d gaps, want several: this tests nothing", gaps)
			}
			o.Close()
			_ = writer.Close()
			if got.Scan() {
				t.Errorf("behind the last line the log says %q", got.Text())
			}
		})
	}
}

// mustHaveRoom waits until the next line will not be dropped.
func mustHaveRoom(t testing.TB, o *Outlet) {
	t.Helper()
	testproc.Await(t, "room in the queue", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.queue) < outletLines
	})
}

// mustMissing reads how many lines are missing, in the format of the log.
func mustMissing(t testing.TB, line string) (n int) {
	t.Helper()
	if strings.HasPrefix(line, "{") {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		line = "prefork: " + e.text("msg")
	}
	if _, err := fmt.Sscanf(line, "prefork: %d "+missingText, &n); err != nil || n < 1 {
		t.Fatalf("%q tells no number: %v", line, err)
	}
	return n
}

func TestOutletBoundsItsMemory(t *testing.T) {
	t.Parallel()
	reader, writer := mustNarrowPipe(t)
	o := mustOutlet(t, "", writer)
	defer o.Close()
	defer reader.Close() // so that Close need not wait
	line := make([]byte, outletPending/4)
	for range 100 {
		_, _ = o.Write(line) // never fails
	}
	o.mu.Lock()
	waiting, pending := len(o.queue), o.pending
	o.mu.Unlock()
	if waiting > 4 || pending > outletPending {
		t.Errorf("%d lines of %d bytes wait, want %d bytes at most", waiting, pending, outletPending)
	}
}

func TestOutletCloseDoesNotWaitForAStuckReader(t *testing.T) {
	t.Parallel()
	_, writer := mustNarrowPipe(t)
	o := mustOutlet(t, "", writer)
	for range 1000 {
		_, _ = o.Write([]byte("a line that nobody reads\n")) // never fails
	}
	began := time.Now()
	o.Close()
	if took := time.Since(began); took < outletFlush || took > outletFlush+5*time.Second {
		t.Errorf("Close took %v, want a bit more than %v", took, outletFlush)
	}
}

// TestOutletAfterClose: a goroutine that still has something to say when the
// program ends must not bring it down.
func TestOutletAfterClose(t *testing.T) {
	t.Parallel()
	o := mustOutlet(t, "", io.Discard)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 10_000 {
				_, _ = o.Write([]byte("late\n")) // never fails
			}
		})
	}
	o.Close()
	writers.Wait()
	o.Reopen()
	if n, err := o.Write([]byte("later\n")); n != 6 || err != nil {
		t.Errorf("Write gives %d, %v; want 6, nil", n, err)
	}
	o.Close()
}

// TestOutletReopens: what was written before goes to the old file and what is
// written after it to the new one, so that the old one can be packed.
func TestOutletReopens(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	o := mustOutlet(t, path, nil)
	want := []string{"", "", ""}
	for i := range want {
		for n := range 500 {
			line := fmt.Sprintf("line %d of file %d\n", n, i)
			want[i] += line
			_, _ = o.Write([]byte(line)) // never fails
		}
		if i < len(want)-1 {
			mustRotate(t, o, path, i)
		}
	}
	o.Close()
	for i, want := range want {
		name := path
		if i < 2 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		if got := mustRead(t, name); got != want {
			t.Errorf("file %d has %d bytes, want its own %d", i, len(got), len(want))
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the new file is %v, %v; want mode 0640", info, err)
	}
}

// mustRotate does as logrotate does, which waits for nothing but the new file.
func mustRotate(t testing.TB, o *Outlet, path string, n int) {
	t.Helper()
	if err := os.Rename(path, fmt.Sprintf("%s.%d", path, n)); err != nil {
		t.Fatal(err)
	}
	if err := o.Reopen().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil { // it is there once Wait has returned
		t.Fatal(err)
	}
}

// TestReopenBehindAStuckReader: whoever asks waits no longer than he likes, and a
// storm of signals is one reopening.
func TestReopenBehindAStuckReader(t *testing.T) {
	t.Parallel()
	reader, writer := mustNarrowPipe(t)
	o := mustOutlet(t, "", writer)
	for range outletLines {
		_, _ = o.Write([]byte(strings.Repeat("x", 100) + "\n")) // never fails
	}
	first := o.Reopen()
	if second := o.Reopen(); first != second {
		t.Error("a second reopening waits beside the first")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := first.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	if err := reader.Close(); err != nil { // what waits cannot be written any more
		t.Fatal(err)
	}
	if err := first.Wait(t.Context()); err != nil {
		t.Errorf("afterwards: got %v, want nil", err)
	}
	o.Close()
}

func TestOutletKeepsTheOldFileWhenItCannotReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "folder", "log")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	o := mustOutlet(t, path, nil)
	_, _ = o.Write([]byte("{\"msg\":\"before\"}\n")) // never fails
	if err := os.Rename(filepath.Dir(path), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	err := o.Reopen().Wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the old file stays in use") {
		t.Errorf("Reopen: got %v, want that the old file stays in use", err)
	}
	_, _ = o.Write([]byte("{\"msg\":\"after\"}\n")) // never fails
	o.Close()
	if err := o.Reopen().Wait(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reopen after Close: got %v, want os.ErrClosed", err)
	}
	lines := strings.Split(strings.TrimSpace(mustRead(t, filepath.Join(dir, "moved", "log"))), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "before") || !strings.Contains(lines[2], "after") {
		t.Fatalf("the log is %q, want three lines", lines)
	}
	var e entry
	if err := json.Unmarshal([]byte(lines[1]), &e); err != nil || !strings.Contains(e.text("msg"), "the old file stays in use") {
		t.Errorf("the log says %q (%v), want that the old file stays in use", lines[1], err)
	}
}

// TestOutletOnAFullDisk: it goes on, and tells afterwards what is missing.
func TestOutletOnAFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	o := mustOutlet(t, path, nil)
	for range 100 {
		_, _ = o.Write([]byte("lost\n")) // never fails
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	o.Reopen()
	_, _ = o.Write([]byte("there is room again\n")) // never fails
	o.Close()
	lines := strings.Split(mustRead(t, path), "\n")
	if len(lines) != 3 || lines[1] != "there is room again" {
		t.Fatalf("the log is %q, want the number of missing lines and one more", lines)
	}
	if got := mustMissing(t, lines[0]); got != 100 {
		t.Errorf("%d lines are said to be missing, want 100", got)
	}
}

// tearing is a stream that takes half of one line, as a disk does that fills up.
type tearing struct {
	strings.Builder
	when string
}

func (w *tearing) Write(b []byte) (int, error) {
	if string(b) != w.when {
		return w.Builder.Write(b)
	}
	n, _ := w.Builder.Write(b[:len(b)/2]) // never fails
	return n, errors.New("no space left on device")
}

// TestOutletMendsATornLine: the next line does not hang on the rest of it.
func TestOutletMendsATornLine(t *testing.T) {
	t.Parallel()
	stream := &tearing{when: "0123456789\n"}
	o := mustOutlet(t, "", stream)
	for _, line := range []string{"first\n", stream.when, "last\n"} {
		_, _ = o.Write([]byte(line)) // never fails
	}
	o.Close()
	want := []string{"first", "01234", "prefork: 1 " + missingText, "last"}
	got := strings.Split(strings.TrimSpace(stream.String()), "\n")
	for i := range want {
		if len(got) != len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("the log is %q, want %q", got, want)
		}
	}
}

func TestOutletThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	_, err := NewOutlet(filepath.Join(t.TempDir(), "no", "log"), nil)
	if err == nil || !strings.Contains(err.Error(), "choose another path with --log-file") {
		t.Errorf("NewOutlet: %v, want what to do about it", err)
	}
}
