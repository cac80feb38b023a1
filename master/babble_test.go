package master

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"prefork/ipc"
	"prefork/master/control"
)

// babbling is something that no worker may say.
type babbling struct {
	packet []byte
	fds    int    // descriptors that travel with it
	times  int    // 0: once
	early  bool   // in place of hello; else while the worker serves
	want   string // in the one line about it
}

var babblings = map[string]babbling{
	"garbage":           {packet: []byte("once upon a time"), early: true, want: `message starts with "once"`},
	"half-a-header":     {packet: []byte("pfrk"), early: true, want: "shorter than its header"},
	"unknown-version":   {packet: packet(99, ipc.KindReady, ""), early: true, want: "message of version 99"},
	"unknown-kind":      {packet: packet(1, 77, ""), early: true, want: "unknown message, kind 77"},
	"ready-too-early":   {packet: packet(1, ipc.KindReady, ""), early: true, want: "ready before hello"},
	"foreign-versions":  {packet: packet(1, ipc.KindHello, "\x09\x00\x0c\x00\x07\x00\x00\x00"), early: true, want: "it speaks versions 9 to 12, this master 1 to 1"},
	"hello-with-a-file": {packet: packet(1, ipc.KindHello, "\x01\x00\x01\x00\x07\x00\x00\x00"), fds: 1, early: true, want: "hello with 1 descriptors, not 0"},

	"second-hello":       {packet: packet(1, ipc.KindHello, "\x01\x00\x01\x00\x07\x00\x00\x00"), want: "a second hello"},
	"second-ready":       {packet: packet(1, ipc.KindReady, ""), want: "a second ready"},
	"serve":              {packet: packet(1, ipc.KindServe, ""), want: "serve is the master's to say"},
	"drain":              {packet: packet(1, ipc.KindDrain, "\x00\x00\x00\x00\x00\x00\x00\x00"), want: "drain is the master's to say"},
	"welcome":            {packet: packet(1, ipc.KindWelcome, "\x01\x00"+strings.Repeat("\x00", 20)), fds: 2, want: "welcome is the master's to say"},
	"oversize":           {packet: make([]byte, ipc.MessageMax+1), want: "more than 65536 bytes"},
	"garbage-with-files": {packet: []byte("garbage"), fds: 100, want: "shorter than its header"},
	"flood":              {packet: packet(1, ipc.KindLeft, ""), times: 20_000, want: "a second left"},
	"listens-too-often":  {packet: packet(1, ipc.KindListening, ""), times: 20_000, want: "too often"},
	"bad-text":           {packet: packet(1, ipc.KindLeaving, "\xff\xfe"), want: "not valid UTF-8"},
}

// packet makes what package ipc would not send.
func packet(version uint16, kind ipc.Kind, body string) []byte {
	b := []byte("pfrk")
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, uint16(kind))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// TestBabblingWorkersAreReplaced lets every slot but the first break the
// protocol in its own way while it serves: each costs one line and a gentle
// replacement, and nobody else notices.
func TestBabblingWorkersAreReplaced(t *testing.T) {
	t.Parallel()
	names := babblingsThatAre(false)
	r := newRig(t, 1+len(names))
	for i, name := range names {
		r.behaveOnce(t, 1+i, "babble "+name)
	}
	r.start(t)
	for i, name := range names {
		slot := 1 + i
		line := r.log.await(t, brokeProtocol, slot)
		line.mustSay(t, "reason", babblings[name].want)
		line.mustSay(t, "level", "error")
		exit := r.log.awaitThat(t, "the end of "+name, false, func(e entry) bool {
			return e.is("worker exited", slot) && e.number("incarnation") == line.number("incarnation")
		})
		exit.mustSay(t, "reason", "exit code 0") // it was asked to leave, by SIGTERM
		exit.mustSay(t, "state_from", "draining")
	}
	st := r.awaitReady(t, 1+len(names))
	for i, name := range names {
		slot := 1 + i
		if got := r.log.count(brokeProtocol, slot); got != 1 {
			t.Errorf("%s: %d lines about it, want one", name, got)
		}
		if got := r.log.count("worker is recycled", slot); got != 1 {
			t.Errorf("%s: recycled %d times, want a successor that was brought up beside it, once", name, got)
		}
	}
	if got := st.Workers[0].Incarnation; got != 1 {
		t.Errorf("the well-behaved worker was replaced by incarnation %d", got)
	}
	if got, most := descriptors(t, r.PID()), descriptorsMost(len(st.Workers)); got > most {
		t.Errorf("the master has %d descriptors for %d workers, want %d at most: those that came along are to be closed", got, len(st.Workers), most)
	}
}

// TestBabblingBeforeHelloIsAFailedStart replaces workers by ones that begin
// with nonsense.
func TestBabblingBeforeHelloIsAFailedStart(t *testing.T) {
	t.Parallel()
	names := babblingsThatAre(true)
	r := newRig(t, 1+len(names))
	before := r.serving(t)
	for i, name := range names {
		r.behaveOnce(t, 1+i, "babble-first "+name)
		mustKill(t, before.Workers[1+i])
	}
	for i, name := range names {
		line := r.log.await(t, brokeProtocol, 1+i)
		line.mustSay(t, "reason", babblings[name].want)
		r.log.await(t, "worker is aborting", 1+i).mustSay(t, "reason", babblings[name].want)
	}
	after := r.awaitReady(t, 1+len(names))
	if before, after := before.Workers[0].PID, after.Workers[0].PID; before != after {
		t.Errorf("the well-behaved worker %d was replaced by %d", before, after)
	}
	for i, name := range names {
		if got := r.log.count(brokeProtocol, 1+i); got != 1 {
			t.Errorf("%s: %d lines about it, want one", name, got)
		}
	}
}

// TestBabblingAtFirstStart is the same when nobody serves yet.
func TestBabblingAtFirstStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.behave(t, 1, "babble-first garbage")
	r.start(t)
	r.log.await(t, "start rolled back", noSlot).mustSay(t, "reason", `slot 1: message starts with "once"`)
	r.mustExit(t, 1)
}

func babblingsThatAre(early bool) (names []string) {
	for name, b := range babblings {
		if b.early == early {
			names = append(names, name)
		}
	}
	return names
}

// mustKill kills a worker as the kernel does that is out of memory.
func mustKill(t testing.TB, w control.WorkerStatus) {
	t.Helper()
	if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil {
		t.Fatalf("kill worker %d: %v", w.PID, err)
	}
}

func descriptors(t testing.TB, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// descriptorsMost is a bound for a quiet master: for each worker a listening
// socket, a channel, a scoreboard, a pidfd and two pipes; the rest is its own.
func descriptorsMost(workers int) int { return 6*workers + 20 }
