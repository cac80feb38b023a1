package master

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/ipc"
	"prefork/master/control"
)

// mustHandOver waits for the word of a worker that has come to another one.
func (r *rig) mustHandOver(t testing.TB, from, to int) {
	t.Helper()
	line := fmt.Sprintf("slot %d gives to slot %d", from, to)
	r.log.awaitThat(t, line, true, func(e entry) bool { return e.text("msg") == line })
}

// given counts the workers that were told to give.
func (r *rig) given() int {
	found, _ := r.log.find(true, func(e entry) bool { return strings.HasSuffix(e.text("msg"), "gives 0") })
	return len(found)
}

// TestReloadHandsOver: each worker gives to its successor.
func TestReloadHandsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.behave(t, "all", "portable test/1")
	r.serving(t)
	r.do(t, control.Command{Verb: control.Reload})
	for slot := range 3 {
		r.mustHandOver(t, slot, slot)
	}
	r.awaitReady(t, 3)
	testproc.Await(t, "three workers that were told to give", func() bool { return r.given() == 3 })
	r.stop(t)
	if got := r.given(); got != 3 {
		t.Errorf("after a stop %d workers were told to give, want 3 as before: nobody stays", got)
	}
}

// TestScaleHandsOver: who goes gives to those who stay.
func TestScaleHandsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.behave(t, "all", "portable test/1")
	r.serving(t)
	r.do(t, control.Command{Verb: control.Scale, Workers: "2"})
	for from := 2; from < 4; from++ {
		for to := range 2 {
			r.mustHandOver(t, from, to)
		}
	}
}

// TestCommandsHandOver: a program that says hello is one of ours.
func TestCommandsHandOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.orders.Command = testproc.ImpersonateArgv(t, workerCommand, r.orders.Dir)
	r.behave(t, "all", "portable test/1")
	r.serving(t)
	r.do(t, control.Command{Verb: control.Reload})
	r.mustHandOver(t, 0, 0)
	r.awaitReady(t, 1)
}

// TestOtherProtocolsAreNotHandedOver, nor is anything by who speaks none.
func TestOtherProtocolsAreNotHandedOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, 0, "portable test/1")
	r.serving(t)
	r.behave(t, 0, "portable test/2")
	r.do(t, control.Command{Verb: control.Reload})
	r.awaitReady(t, 2)
	r.stop(t)
	if got := r.given(); got != 0 {
		t.Errorf("%d workers were told to give, want none", got)
	}
}

// talkingTo is a child as far as a hand-over needs it, and the worker's end.
func talkingTo(t testing.TB) (c *child, theirs *ipc.Conn) {
	t.Helper()
	mine, end, err := ipc.Pair()
	mustDo(t, err)
	t.Cleanup(func() { _ = mine.Close() })
	copied, err := unix.FcntlInt(end.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	mustDo(t, err)
	mustDo(t, end.Close())
	theirs, err = ipc.Open(copied)
	mustDo(t, err)
	t.Cleanup(func() { _ = theirs.Close() })
	return &child{talk: &ours{conn: mine}}, theirs
}

// mustTake returns the end of a pair that a worker was sent.
func mustTake(t testing.TB, theirs *ipc.Conn) *os.File {
	t.Helper()
	m, files, err := theirs.Receive()
	mustDo(t, err)
	if m != (ipc.Take{}) {
		t.Fatalf("the heir was sent %#v, want Take", m)
	}
	t.Cleanup(func() { _ = files[0].Close() })
	return files[0]
}

// TestIntroduce joins the two ends, and leaves none open when one of the workers cannot
// be told.
func TestIntroduce(t *testing.T) {
	t.Parallel()
	from, giver := talkingTo(t)
	to, heir := talkingTo(t)
	mustDo(t, introduce(from, to, 7))
	m, files, err := giver.Receive()
	mustDo(t, err)
	if m != (ipc.Give{Count: 7}) {
		t.Errorf("the giver was sent %#v, want Give of 7", m)
	}
	_, err = files[0].WriteString("hello")
	mustDo(t, err)
	mustDo(t, files[0].Close())
	if words, err := io.ReadAll(mustTake(t, heir)); string(words) != "hello" || err != nil {
		t.Errorf("through the pair came %q, %v", words, err)
	}

	mustDo(t, giver.Close())
	if err := introduce(from, to, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("without a giver: got %v, want os.ErrClosed", err)
	}
	if words, err := io.ReadAll(mustTake(t, heir)); len(words) > 0 || err != nil {
		t.Errorf("without a giver came %q, %v, want the end", words, err)
	}
	mustDo(t, heir.Close())
	if err := introduce(from, to, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("without an heir: got %v, want os.ErrClosed", err)
	}
	if err := introduce(from, &child{talk: &command{ours: &ours{}}}, 0); err == nil || !strings.Contains(err.Error(), "does not speak") {
		t.Errorf("with a foreign heir: got %v", err)
	}
}
