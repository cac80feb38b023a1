package master

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/internal/testproc"
	"prefork/master/control"
	"prefork/master/process"
)

// printed are the things that workers print a lot of.
var printed = map[string][]byte{
	"lines":   bytes.Repeat([]byte("a line like any other, and then another one\n"), 1000),
	"binary":  bytes.Repeat([]byte("\x00\x1b[31m\xff\xfe\x80\r\"\\\n"), 4000),
	"endless": bytes.Repeat([]byte("x"), 64<<10), // no line feed, ever
}

const printedEnd = "that was all"

// printMuch writes to STREAM of KIND at least so many BYTES, and then a last line
// over and over.
func printMuch(args []string) {
	to := map[string]*os.File{"stdout": os.Stdout, "stderr": os.Stderr}[args[0]]
	text := printed[args[1]]
	for left := mustNumber(args[2]); left > 0; left -= len(text) {
		_, err := to.Write(text)
		must(err)
	}
	// It may be dropped like any other line, but not for ever.
	for tick := time.Tick(50 * time.Millisecond); ; <-tick {
		_, err := fmt.Fprintf(to, "\n%s\n", printedEnd)
		must(err)
	}
}

// TestFloodOfOutput: a worker that writes without end costs itself time and the
// log its lines, which are counted, but never the loop a turn.
func TestFloodOfOutput(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, what string }{
		{"lines", "stdout lines 50000000"},
		{"binary", "stderr binary 50000000"},
		{"one line", "stdout endless 1000000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.behave(t, 1, "print "+test.what)
			r.start(t)
			asked := 0
			r.log.awaitMeanwhile(t, printedEnd, func() {
				if r.log.length() == 0 {
					return
				}
				began := time.Now()
				_, err := r.client.Status(t.Context())
				if took := time.Since(began); err == nil && took > 5*time.Second {
					t.Errorf("status number %d took %v", asked, took)
				}
				asked++
			})
			r.log.mu.Lock()
			read := r.log.read
			r.log.mu.Unlock()
			// A byte that is no text may need six in JSON.
			if most := 6*process.LineMax + 1000; read.longest > most {
				t.Errorf("the longest line of the log has %d bytes, want %d at most", read.longest, most)
			}
			mustServe(t, r.awaitReady(t, 2))
			if test.name == "one line" {
				r.mustHavePassedOn(t, 1_000_000)
			}
		})
	}
}

// mustHavePassedOn adds up what came of a line without end: its pieces, and how many
// were dropped, which is told once a second.
func (r *rig) mustHavePassedOn(t testing.TB, size int) {
	t.Helper()
	testproc.Await(t, "every byte to be passed on or counted", func() bool {
		pieces, _ := r.log.find(true, func(e entry) bool { return strings.HasPrefix(e.text("msg"), "xxx") && e.number("slot") == 1 })
		bytes := 0
		for _, e := range pieces {
			bytes += len(e.text("msg"))
			if len(e.text("msg")) > process.LineMax {
				t.Errorf("a piece has %d bytes, want %d at most", len(e.text("msg")), process.LineMax)
			}
		}
		drops, _ := r.log.find(true, func(e entry) bool { return e.number("dropped") > 0 && e.number("slot") == 1 })
		for _, e := range drops {
			bytes += e.number("dropped") * process.LineMax
		}
		return bytes >= size
	})
}

// TestOutputIsPassedOn tells which worker wrote what, where, and that nothing of
// an orderly end is lost.
func TestOutputIsPassedOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, 1, "die 7 the first word and the last")
	r.start(t)
	r.mustExit(t, 1)
	line := r.log.awaitOutput(t, "the first word and the last")
	for key, want := range map[string]string{"stream": "stderr", "component": "output", "level": "info"} {
		if got := line.text(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if line.number("slot") != 1 || line.number("worker_pid") != r.log.await(t, "worker exited", 1).number("worker_pid") {
		t.Errorf("the line is tagged %v, want the worker that exited", line)
	}
}

const lodgerCommand = "be-lodger"

// beLodger is a process that outlives the worker that has started it.
func beLodger([]string) int { return forever() }

// leaveLodger starts one that holds our output, in our process group or in a
// session of its own, and dies.
func leaveLodger(how string) int {
	lodger := exec.Command("/proc/self/exe", lodgerCommand)
	lodger.Stdout, lodger.Stderr = os.Stdout, os.Stderr
	lodger.SysProcAttr = &syscall.SysProcAttr{Setsid: how == "own-session"}
	must(lodger.Start())
	fmt.Fprintf(os.Stderr, "lodger %d\n", lodger.Process.Pid)
	return 7
}

// TestExitIsReportedWhileALodgerHoldsTheOutput: the end of a worker's output may
// be far behind its own end.
func TestExitIsReportedWhileALodgerHoldsTheOutput(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"same-group", "own-session"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.behaveOnce(t, 1, "leave-lodger "+how)
			r.start(t)
			line := r.log.awaitThat(t, "lodger", true, func(e entry) bool { return strings.HasPrefix(e.text("msg"), "lodger ") })
			said := mustTime(t, line)
			exit := r.log.await(t, "worker exited", 1)
			exit.mustSay(t, "reason", "exit code 7")
			exit.mustSay(t, "last_words", line.text("msg"))
			if took := mustTime(t, exit).Sub(said); took > time.Second {
				t.Errorf("the exit was reported %v after the last words", took)
			}
			r.awaitReady(t, 2)
			if how == "own-session" {
				r.mustEndQuickly(t)
				r.KillDescendants(t) // nobody's child any more
				return
			}
			// In its worker's group nobody would ever end it.
			testproc.Await(t, "the lodger's end", func() bool { return len(r.Descendants(t)) == 2 })
		})
	}
}

// mustEndQuickly stops a master whose late worker's output never ends.
func (r *rig) mustEndQuickly(t testing.TB) {
	t.Helper()
	r.do(t, control.Command{Verb: control.Stop})
	r.AwaitExit(t)
	ended := time.Now()
	last := r.log.awaitThat(t, "the last exit", false, func(e entry) bool { return e.is("worker exited", noSlot) && e.text("state_from") == "draining" })
	if took := ended.Sub(mustTime(t, last)); took > goodbyeTimeout {
		t.Errorf("it ended %v after its last worker", took)
	}
}

func mustTime(t testing.TB, e entry) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, e.text("time"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestLostLinesAreSummedUp: a flood that loses lines all the time is told of once a
// second, and of every line.
func TestLostLinesAreSummedUp(t *testing.T) {
	t.Parallel()
	var lost lostLines
	begin, told, times := time.Now(), 0, 0
	for n := range 3000 {
		if tell := lost.add(1, begin.Add(time.Duration(n)*time.Millisecond)); tell > 0 {
			told, times = told+tell, times+1
		}
	}
	if times != 3 || told+lost.untold != 3000 {
		t.Errorf("told %d times of %d lines, and %d are left, of 3000 in three seconds", times, told, lost.untold)
	}
}
