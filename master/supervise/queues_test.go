package supervise

import (
	"testing"
	"time"
)

// looksIn counts the looks of so much time, each answered by what answer says of
// that moment, and each tick a little late.
func looksIn(m *Machine, length time.Duration, answer func(since time.Duration) QueuesSampled) (looks int) {
	begin := m.now
	for {
		at, ok := m.NextDeadline()
		if !ok || at > begin+length {
			return looks
		}
		for _, a := range m.Step(at, Tick{}) {
			if a == Action(LookAtQueues{}) {
				looks++
				m.Step(at, answer(at-begin))
			}
		}
	}
}

func TestLooksAreAsOftenAsIsOfUse(t *testing.T) {
	t.Parallel()
	idle := func(time.Duration) QueuesSampled { return QueuesSampled{Waiting: []int{0, 0}} }
	for _, tc := range []struct {
		name        string
		target      string
		answer      func(since time.Duration) QueuesSampled
		least, most int // in ten seconds
	}{
		{"nothing happens", "slots=2 own=yes", idle, 49, 51},
		{"something moves", "slots=2 own=yes", func(time.Duration) QueuesSampled { return QueuesSampled{Moved: true} }, 190, 201},
		{"something moved for a second", "slots=2 own=yes", func(since time.Duration) QueuesSampled {
			return QueuesSampled{Moved: since < time.Second}
		}, 15 + 20 + 40, 20 + 21 + 41},
		{"a queue stands", "slots=2 own=yes", func(time.Duration) QueuesSampled { return QueuesSampled{Waiting: []int{0, 1}} }, 970, 1001},
		{"a queue stood for a second", "slots=2 own=yes", func(since time.Duration) QueuesSampled {
			if since < time.Second {
				return QueuesSampled{Waiting: []int{1}}
			}
			return QueuesSampled{}
		}, 80 + 45, 101 + 46},
		{"many slots", "slots=256 own=yes", idle, 12, 13},
		{"many slots, a queue stands", "slots=256 own=yes", func(time.Duration) QueuesSampled { return QueuesSampled{Waiting: []int{1}} }, 225, 251},
		{"foreign", "slots=2", idle, 0, 0},
		{"nobody else could be woken", "slots=1 own=yes", func(time.Duration) QueuesSampled { return QueuesSampled{Waiting: []int{1}} }, 0, 0},
		{"without helpers the bell still helps the owner", "slots=2 own=yes helpers=0", idle, 49, 51},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if n := looksIn(mustServe(t, tc.target), 10*time.Second, tc.answer); n < tc.least || n > tc.most {
				t.Errorf("%d looks, want %d to %d", n, tc.least, tc.most)
			}
		})
	}
}

// TestLooksDoNotLookLikePauses: a master that is always a little late with its
// looks has not stood still, and who drains meanwhile gets no more time.
func TestLooksDoNotLookLikePauses(t *testing.T) {
	t.Parallel()
	s := mustPlay(t, running3+"exited 2/3 killed by SIGKILL\nhang 0/1")
	due := s.m.Slots[2].Serving.Deadline
	for range 14 {
		at, _ := s.m.NextDeadline()
		s.now = at + pausedAfter*9/10
		s.happen(Tick{})
	}
	if w := s.m.Slots[2].Serving; s.problem != nil || w.Deadline != due {
		t.Errorf("%v: who starts has time until %v, not %v", s.problem, w.Deadline-epoch, due-epoch)
	}
}

// TestFewWatchManyThatRetire: the one worker that stays of many holds the sockets of
// a few of them, and still all of them close.
func TestFewWatchManyThatRetire(t *testing.T) {
	t.Parallel()
	s := mustPlay(t, "machine slots=60 own=yes helpers=2\nstarted\neverybody ready\nslots empty slowly\nscale #1 1\neverybody gone")
	for n := 59; n > 0; n-- {
		if got := len(s.m.Slots[0].Serving.Watches); got > retiringHelped+2 {
			t.Fatalf("with %d slots left the worker that stays watches %d", n+1, got)
		}
		top := s.m.Slots[n]
		if watchOf(s.m.Slots[0].Serving, n) < 0 {
			t.Fatalf("nobody watches slot %d, the next one to close", n)
		}
		s.happen(SlotEmptied{Slot: n, Deadline: top.EmptyBy})
	}
	if s.problem != nil || len(s.m.Slots) != 1 || len(s.m.Slots[0].Serving.Watches) != 0 {
		t.Errorf("%v: %d slots are left, the worker watches %v", s.problem, len(s.m.Slots), s.m.Slots[0].Serving.Watches)
	}
}

// TestTheSilentAreNotAskedForEver: what is kept of a worker that does not answer
// does not grow, whatever becomes of its siblings.
func TestTheSilentAreNotAskedForEver(t *testing.T) {
	t.Parallel()
	s := mustPlay(t, "machine slots=1 own=yes helpers=3\nstarted\neverybody ready\nhelping slow")
	for round := range 20 {
		s.happen(ScaleRequested{Workers: 2 + 7*round})
		s.everybody([]string{"ready"})
		s.happen(ScaleRequested{Workers: 1})
		s.everybody([]string{"gone"})
	}
	if n := len(s.m.Slots[0].Serving.Watches); s.problem != nil || n != watchesMax {
		t.Errorf("%v: %d watches are kept, want %d", s.problem, n, watchesMax)
	}
}
