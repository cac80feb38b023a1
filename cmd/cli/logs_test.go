package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// outputOf opens what a worker writes to: what is written there is the worker's
// output for everybody, also that of a built-in one, which writes nothing.
func outputOf(t *testing.T, st testproc.Status, stream int) *os.File {
	t.Helper()
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", st.Workers[0].PID, stream), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // the master must not wait for it
	return f
}

func mustWrite(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// awaitLog waits for a line in a log file and returns it.
func awaitLog(t *testing.T, path, part string) (line string) {
	t.Helper()
	testproc.Await(t, "a line of the log with "+part, func() bool {
		text, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		for l := range strings.Lines(string(text)) {
			if strings.Contains(l, part) && strings.HasSuffix(l, "\n") {
				line = strings.TrimSuffix(l, "\n")
				return true
			}
		}
		return false
	})
	return line
}

// A master that writes all the time, and logrotate as Debian installs it: nothing
// is lost, torn or written twice, and the new file is as private as the old one.
func TestLogrotate(t *testing.T) {
	t.Parallel()
	program := mustHave(t, "logrotate")
	documented := documentedRotation(t)
	for _, c := range []struct{ name, format, config string }{
		{"as documented", "text", documented},
		{"signal", "json", strings.Replace(documented, "PREFORK reopen --control CONTROL", "kill -USR1 PID", 1)},
		{"the master creates the file", "json", strings.Replace(documented, "create 0640", "nocreate", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil { // logrotate refuses a folder that others may change
				t.Fatal(err)
			}
			log := filepath.Join(dir, "prefork.log")
			m, st := ready(t, "--workers", "1", "--log-file", log, "--log-format", c.format)
			config := strings.NewReplacer("LOG", log, "PID", strconv.Itoa(m.PID()), "PREFORK", testproc.Binary(t), "CONTROL", m.Control).Replace(c.config)
			rotate := rotator(t, program, config)
			written := writeWhile(t, outputOf(t, st, 1), func() {
				for range 5 {
					rotate()
					testproc.Await(t, "a line in the new file", func() bool {
						info, err := os.Stat(log)
						return err == nil && info.Size() > 0
					})
				}
			})
			awaitLog(t, log, fmt.Sprintf("tick %d.", written-1))
			files := rotated(t, log)
			if len(files) != 6 {
				t.Errorf("got %d files, want 6: %q", len(files), files)
			}
			checkTicks(t, files, written, c.format)
			if info, err := os.Stat(log); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("the new file: got mode %v, %v, want 0640", info.Mode(), err)
			}
		})
	}
}

// documentedRotation is the example of docs/LOGS.md, with words to replace.
func documentedRotation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/LOGS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```\n/var/log/")
	example, _, found := strings.Cut(rest, "```")
	example = strings.NewReplacer("shop/prefork.log", "LOG", "prefork reopen --name shop", "PREFORK reopen --control CONTROL").Replace(example)
	if !found || !strings.Contains(example, "PREFORK") || !strings.HasPrefix(example, "LOG {") || !strings.Contains(example, "create 0640") {
		t.Fatalf("docs/LOGS.md has no example for logrotate: %q", example)
	}
	return example
}

// rotator returns a function that runs logrotate once.
func rotator(t *testing.T, program, text string) func() {
	t.Helper()
	config, state := filepath.Join(t.TempDir(), "logrotate.conf"), filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if r := testproc.Run(t, exec.Command(program, "--force", "--state", state, config)); r.Code != 0 || r.Stderr != "" {
			t.Errorf("logrotate: %v", r)
		}
	}
}

// writeWhile writes numbered lines, some thousand a second, until do has returned
// and every file has some. It returns how many.
func writeWhile(t *testing.T, to *os.File, do func()) (written int) {
	t.Helper()
	const atLeast = 1000
	done := make(chan struct{})
	ended := make(chan int)
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		n := 0
		for stop := done; ; <-ticker.C {
			select {
			case <-stop:
				stop = nil
			default:
			}
			if stop == nil && n >= atLeast {
				ended <- n
				return
			}
			for range 5 {
				if _, err := fmt.Fprintf(to, "tick %d.\n", n); err != nil {
					t.Error(err)
				}
				n++
			}
		}
	}()
	do()
	close(done)
	return <-ended
}

// rotated lists a log's files, the oldest first.
func rotated(t *testing.T, log string) []string {
	t.Helper()
	files, err := filepath.Glob(log + "*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files) // log, log.1, log.2, …
	slices.Reverse(files)
	return files
}

var tick = regexp.MustCompile(`tick (\d+)\.`)

// checkTicks checks that each line was logged once, in order, and whole.
func checkTicks(t *testing.T, files []string, written int, format string) {
	t.Helper()
	next := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || len(text) == 0 {
			t.Errorf("%s has %d bytes, %v", file, len(text), err)
		}
		for line := range strings.Lines(string(text)) {
			if !isWhole(line, format) {
				t.Fatalf("%s: torn line %q", file, line)
			}
			found := tick.FindStringSubmatch(line)
			if found == nil {
				continue
			}
			if want := strconv.Itoa(next); found[1] != want {
				t.Fatalf("%s: got tick %s, want %s", file, found[1], want)
			}
			next++
		}
	}
	if next != written {
		t.Errorf("%d lines were logged, want %d", next, written)
	}
}

func isWhole(line, format string) bool {
	if format == "json" {
		return json.Valid([]byte(line)) && strings.HasSuffix(line, "}\n")
	}
	return strings.HasPrefix(line, "time=") && strings.HasSuffix(line, "\n")
}

// A folder that has gone costs nothing: the old file goes on, and whoever asked
// is told.
func TestReopenThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, moved := filepath.Join(dir, "logs"), filepath.Join(dir, "moved")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(folder, "log")
	m, st := ready(t, "--workers", "1", "--log-file", log)
	if err := os.Rename(folder, moved); err != nil {
		t.Fatal(err)
	}
	oneLine(t, m.Run(t, "reopen"), 1, "reopen failed: open log file: open "+log, "no such file or directory", "--log-file", "the old file stays in use")
	output := outputOf(t, st, 1)
	mustWrite(t, output, "still there\n")
	old := filepath.Join(moved, "log")
	awaitLog(t, old, "still there")
	if line := awaitLog(t, old, "the old file stays in use"); !strings.Contains(line, `"level":"warning"`) {
		t.Errorf("got %q, want a warning", line)
	}
	m.Signal(t, syscall.SIGUSR1) // the same without anybody to be told
	testproc.Await(t, "a second line about it", func() bool {
		text, err := os.ReadFile(old)
		return err == nil && strings.Count(string(text), "the old file stays in use") == 2
	})
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if r := m.Run(t, "reopen"); r.Code != 0 || r.Stdout != "log files reopened\n" {
		t.Errorf("reopen with the folder back: %v", r)
	}
	mustWrite(t, output, "in the new file\n")
	awaitLog(t, log, "in the new file")
}

func TestLogFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"folder":                 {dir, "is a directory"},
		"no folder":              {filepath.Join(dir, "no", "log"), "no such file or directory"},
		"a pipe without readers": {pipe, "no such device or address"},
	} {
		r := command(t, "run", "--log-file", c.path, "-l", "127.0.0.1:0")
		if r.Code != 1 {
			t.Errorf("%s: got exit code %d, want 1", name, r.Code)
		}
		oneLine(t, r, 1, c.path, c.want, "choose another path with --log-file")
	}
}

// A master without a log file has nothing to reopen, which is no failure:
// logrotate's script may be the same everywhere.
func TestReopenWithoutALogFile(t *testing.T) {
	t.Parallel()
	m, _ := ready(t, "--workers", "1")
	if r := m.Run(t, "reopen"); r.Code != 0 {
		t.Errorf("reopen: %v", r)
	}
}

// hostile is what a worker may write to deceive whoever reads the log.
var hostile = []string{
	"\x1b[2J\x1b]0;title\x07 clears the screen",
	"ok\rlevel=error msg=overwritten",
	`"} {"level":"error","msg":"forged"}`,
	`time="2026-01-01T00:00:00Z" level=error msg=forged component=master`,
	"\xff\xfe no UTF-8 \x00",
	"\u009b31m a C1 escape, \x7f",
	"\u202egnirts\u202c backwards, \u2028 another line",
	"a\ttab",
}

func TestHostileOutputInALogFile(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "log")
			_, st := ready(t, "--workers", "1", "--log-file", log, "--log-format", format)
			mustWrite(t, outputOf(t, st, 2), strings.Join(hostile, "\n")+"\nthat was all\n")
			awaitLog(t, log, "that was all")
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			checkPrintable(t, string(text), "\n")
			lines := 0
			for line := range strings.Lines(string(text)) {
				if !isWhole(line, format) {
					t.Errorf("no line of the log: %q", line)
				}
				if isOutput(line, format, st.Workers[0].PID) {
					lines++
				}
			}
			if want := len(hostile) + 1; lines != want {
				t.Errorf("%d lines are tagged as the worker's, want %d:\n%s", lines, want, text)
			}
		})
	}
}

// isOutput tells whether a line is tagged as what the worker of slot 0 wrote.
func isOutput(line, format string, pid int) bool {
	if format == "text" {
		// What is quoted cannot look like a field.
		bare := regexp.MustCompile(`"(\\.|[^"\\])*"`).ReplaceAllString(line, `""`)
		return strings.Contains(bare, " component=output ") && strings.Contains(bare, " level=info ") &&
			strings.Contains(bare, " slot=0 ") && strings.Contains(bare, fmt.Sprintf(" worker_pid=%d", pid))
	}
	var e struct {
		Component, Level string
		Slot             int
		PID              int `json:"worker_pid"`
	}
	err := json.Unmarshal([]byte(line), &e)
	return err == nil && e.Component == "output" && e.Level == "info" && e.Slot == 0 && e.PID == pid
}

func TestHostileOutputOnATerminal(t *testing.T) {
	t.Parallel()
	m, _ := testproc.PreforkOnTerminal(t, "--workers", "1")
	m.AwaitLine(t, "stop:   press ^C")
	st := m.Status(t)
	mustWrite(t, outputOf(t, st, 1), strings.Join(hostile, "\n")+"\nthat was all\n")
	m.AwaitLine(t, "that was all")
	// The colors are the log's own; the terminal ends its lines by CR LF.
	text := regexp.MustCompile(`\x1b\[\d+m(INFO|WARN|ERRO|[a-z_]+)\x1b\[0m`).ReplaceAllString(m.Output(), "$1")
	checkPrintable(t, strings.ReplaceAll(text, "\r\n", "\n"), "\n\t")
	for _, want := range []string{`\x1b[2J\x1b]0;title\a clears`, `ok\rlevel=error`, `\xff\xfe no UTF-8 \x00`, `\u009b31m`, "a\ttab"} {
		if !strings.Contains(text, want) {
			t.Errorf("the terminal does not show %q:\n%q", want, text)
		}
	}
}

// The last words of a worker reach whoever asked for a reload, and the events.
func TestHostileLastWords(t *testing.T) {
	t.Parallel()
	m, st := ready(t, "--workers", "1")
	mustWrite(t, outputOf(t, st, 2), "\x1b[2Jgone \u009b31m\n")
	m.AwaitLine(t, "gone")
	if err := syscall.Kill(st.Workers[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"--json"}} {
		argv := append([]string{"events", "--since", "1h", "--control", m.Control}, args...)
		follower := testproc.Start(t, exec.Command(testproc.Binary(t), argv...))
		follower.AwaitLine(t, "last_words")
		checkPrintable(t, follower.Output(), "\n")
	}
}

// checkPrintable fails for anything that could change more than its own place.
func checkPrintable(t *testing.T, text, besides string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(besides, r) }) {
			t.Errorf("not printable: %q", line)
		}
	}
}

func TestPrintableJSONStaysTheSame(t *testing.T) {
	t.Parallel()
	for _, text := range append(hostile, "\U000e0001 a tag, 🙂 and Ὀδυσσεύς") {
		line, err := json.Marshal(strings.ToValidUTF8(text, "?"))
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(printableJSON(line), &got); err != nil || got != strings.ToValidUTF8(text, "?") {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
		checkPrintable(t, string(printableJSON(line)), "")
	}
}

// The last thousand events are kept, for people and for programs.
func TestTheLastThousandEventsAreKept(t *testing.T) {
	t.Parallel()
	const kept, reloads = 1000, 40 // one with 8 workers makes 34 events
	m, _ := ready(t, "--workers", "8")
	// A follower that is stopped meanwhile, as by ^S or a pager.
	slow := testproc.Start(t, exec.Command(testproc.Binary(t), "events", "--since", "1h", "--control", m.Control))
	slow.AwaitLine(t, "start done")
	slow.Signal(t, syscall.SIGSTOP)
	for range reloads {
		if r := m.Run(t, "reload"); r.Code != 0 {
			t.Fatalf("reload: %v", r)
		}
	}
	slow.Signal(t, syscall.SIGCONT)
	m.AwaitStatus(t, "the old workers' end", func(st testproc.Status) bool { return len(st.Workers) == 8 })

	all := testproc.Start(t, exec.Command(testproc.Binary(t), "events", "--json", "--since", "1h", "--control", m.Control))
	none := testproc.Start(t, exec.Command(testproc.Binary(t), "events", "--since", "1ns", "--control", m.Control))
	testproc.Await(t, "the kept events", func() bool { return strings.Count(all.Output(), "\n") >= kept })
	if r := m.Run(t, "stop"); r.Code != 0 {
		t.Fatalf("stop: %v", r)
	}
	all.AwaitExit(t)
	none.AwaitExit(t)
	if before := eventsBefore(t, all.Output(), "stopping"); before != kept {
		t.Errorf("%d events were kept, want %d", before, kept)
	}
	if strings.Contains(none.Output(), "reload done") {
		t.Errorf("--since 1ns shows what was before:\n%s", none.Output())
	}
	if state := slow.AwaitExit(t); state.ExitCode() != 1 {
		t.Errorf("the slow follower ended with %v, want 1", state)
	}
	// By the master, or, once it has given up to write, by the broken stream.
	slow.AwaitLine(t, "not read")
}

// eventsBefore counts the events before the first one with a message.
func eventsBefore(t *testing.T, output, message string) (n int) {
	t.Helper()
	for line := range strings.Lines(output) {
		var e struct {
			Time    time.Time
			Level   string
			Message string
			Fields  map[string]any
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time.IsZero() || e.Level == "" || e.Fields["component"] == nil {
			t.Fatalf("no event: %q, %v", line, err)
		}
		if strings.Contains(e.Message, message) {
			return n
		}
		n++
	}
	t.Error(errors.New("no event " + message))
	return n
}
