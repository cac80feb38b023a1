package supervise

import (
	"strings"
	"testing"
)

// BenchmarkStep is what a look at the queues costs when nothing has changed. With
// many slots looks are most of what the master's loop does.
func BenchmarkStep(b *testing.B) {
	for _, bm := range []struct{ name, target string }{
		{"4 slots", "slots=4 own=yes helpers=2"},
		{"1024 slots", "slots=1024 own=yes helpers=2"},
		{"1024 slots, 16 helpers", "slots=1024 own=yes helpers=16"},
		{"1024 slots, foreign", "slots=1024"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			m := mustServe(b, bm.target)
			looked := QueuesSampled{Waiting: make([]int, len(m.Slots))}
			b.ReportAllocs()
			for b.Loop() {
				m.Step(m.now, looked)
				m.NextDeadline()
			}
		})
	}
}

// mustServe makes a machine whose workers have long been serving. A story would
// check every step on the way, which takes too long with so many slots.
func mustServe(t testing.TB, target string) *Machine {
	t.Helper()
	s := &story{witness: newWitness(), sockets: "open"}
	s.newMachine(strings.Fields(target))
	queue := []Event{Started{}}
	for handled := 0; len(queue) > 0; queue = queue[1:] {
		if handled++; handled > 100_000 {
			t.Fatal("the start does not come to an end")
		}
		for _, a := range s.m.Step(epoch, queue[0]) {
			queue = append(queue, s.outcome(a)...)
			if spawned, ok := a.(Spawn); ok {
				queue = append(queue, WorkerSaidReady{ID: spawned.ID})
			}
		}
	}
	if err := s.m.Check(); err != nil {
		t.Fatal(err)
	}
	return s.m
}
