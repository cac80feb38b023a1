package master

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"prefork/internal/testproc"
	"prefork/master/control"
)

// sockets are what a worker of a slot has printed that it has: its own, and those of
// its siblings; of the last one that printed it.
func (r *rig) sockets(t testing.TB, slot, generation int) (own, siblings []string) {
	t.Helper()
	prefix := fmt.Sprintf("slot %d has ", slot)
	wanted := func(e entry) bool {
		return strings.HasPrefix(e.text("msg"), prefix) && e.number("generation") == generation
	}
	r.log.awaitThat(t, prefix, true, wanted)
	found, _ := r.log.find(true, wanted)
	first, second, _ := strings.Cut(strings.TrimPrefix(found[len(found)-1].text("msg"), prefix), " and ")
	return strings.Fields(first), strings.Fields(second)
}

// mustHaveSiblings checks that the workers of these slots have the sockets of the next
// two in a ring of so many, without the one that all share: the second.
func (r *rig) mustHaveSiblings(t testing.TB, generation, ring int, slots ...int) {
	t.Helper()
	for _, slot := range slots {
		_, got := r.sockets(t, slot, generation)
		var want []string
		for n := 1; n <= 2; n++ {
			own, _ := r.sockets(t, (slot+n)%ring, generation)
			want = append(want, own[0], own[2])
		}
		if !slices.Equal(got, want) {
			t.Errorf("slot %d of generation %d has %v of its siblings, want %v", slot, generation, got, want)
		}
		if strings.Contains(fmt.Sprint(got), "blocks") {
			t.Errorf("slot %d waits in accept for what a sibling has taken: %v", slot, got)
		}
	}
}

// TestSiblingFDs: which sockets a program gets, at the start, when slots come and go,
// and in the next generation.
func TestSiblingFDs(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 4)
	r.orders.ReadyNotify, r.orders.SiblingFDs = true, true
	r.orders.Listen = []string{"127.0.0.1:0", "unix:" + filepath.Join(testproc.SocketDir(t), "web"), "[::1]:0"}
	r.behave(t, "all", "siblings")
	if st := r.serving(t); st.Helpers != 2 {
		t.Errorf("helpers is %d, want 2", st.Helpers)
	}
	r.mustHaveSiblings(t, 1, 4, 0, 1, 2, 3)
	scale := func(workers string) {
		t.Helper()
		if a := r.do(t, control.Command{Verb: control.Scale, Workers: workers}); a.Result != control.ResultOK {
			t.Fatalf("scale to %s: %+v", workers, a)
		}
	}
	scale("5")
	r.mustHaveSiblings(t, 1, 5, 4)
	scale("3")
	st := r.awaitReady(t, 3)
	mustKill(t, st.Workers[2])
	st = r.awaitStatus(t, "its successor", func(st control.Status) bool {
		return len(st.Workers) == 3 && st.Workers[2].Restarts == 1 && st.Workers[2].State == "ready"
	})
	r.log.awaitThat(t, "its successor's sockets", true, func(e entry) bool {
		return strings.HasPrefix(e.text("msg"), "slot 2 has ") && e.number("incarnation") == int(st.Workers[2].Incarnation)
	})
	r.mustHaveSiblings(t, 1, 3, 2)
	if a := r.do(t, control.Command{Verb: control.Reload}); a.Result != control.ResultOK {
		t.Fatalf("reload: %+v", a)
	}
	r.mustHaveSiblings(t, 2, 3, 0, 1, 2)
	old, _ := r.sockets(t, 0, 1)
	fresh, _ := r.sockets(t, 0, 2)
	if old[0] == fresh[0] {
		t.Errorf("generation 2 has the sockets of the first one: %v", fresh)
	}
}

// TestRingOfSiblings: nobody is given sockets of a slot that retires, or of himself.
func TestRingOfSiblings(t *testing.T) {
	t.Parallel()
	s := mustOpenSockets(t, 4, listening(t, "a", "127.0.0.1:0"))
	for _, test := range []struct {
		slot, helpers, staying int
		want                   []int // slots
	}{
		{0, 2, 4, []int{1, 2}}, {3, 2, 4, []int{0, 1}}, {2, 9, 4, []int{3, 0, 1}}, {0, 0, 4, nil},
		{1, 2, 3, []int{2, 0}}, {0, 2, 2, []int{1}}, {0, 2, 1, nil}, {3, 2, 9, []int{0, 1}},
	} {
		var want []int
		for _, slot := range test.want {
			want = append(want, s.of(1, slot)[0].FD)
		}
		if got := s.ring(1, test.slot, test.helpers, test.staying); !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", test, got, want)
		}
	}
}

// TestSiblingFDsCanBeSwitched on and off by a reload.
func TestSiblingFDsCanBeSwitched(t *testing.T) {
	t.Parallel()
	r := newForeignRig(t, 2)
	r.orders.ReadyNotify = true
	r.behave(t, "all", "environment")
	r.serving(t)
	r.log.awaitOutput(t, "accept blocks: true")
	r.orders.SiblingFDs = true
	r.order(t)
	r.behave(t, "all", "siblings")
	r.do(t, control.Command{Verb: control.Reload})
	if own, siblings := r.sockets(t, 0, 2); strings.Contains(fmt.Sprint(own, siblings), "blocks") || len(siblings) != 1 {
		t.Errorf("the worker has %v and %v, want one sibling's, none of which blocks", own, siblings)
	}
	r.orders.SiblingFDs = false
	r.order(t)
	r.behave(t, "all", "environment")
	r.do(t, control.Command{Verb: control.Reload})
	for _, want := range []string{"accept blocks: true", `PREFORK_SIBLING_FDS is ""`} {
		r.log.awaitThat(t, want, true, func(e entry) bool { return e.text("msg") == want && e.number("generation") == 3 })
	}
}
