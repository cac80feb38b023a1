package reactor

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func startedWheel(now int64) *wheel {
	w := new(wheel)
	w.start(now)
	return w
}

func (w *wheel) pending() int {
	count := 0
	for i := range w.slots {
		head := &w.slots[i]
		for t := head.next; t != head; t = t.next {
			count++
		}
	}
	return count
}

func TestTimerNeverEarlyAndOneTickLateAtMost(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, 1, wheelTick - 1, wheelTick, wheelTick + 1, time.Second, wheelSlots * wheelTick, 3*wheelSlots*wheelTick + 7} {
		start := int64(1234567890123)
		w := startedWheel(start)
		now, fired := start, int64(0)
		w.set(&Timer{fire: func() { fired = now }}, start+int64(d))
		for ; fired == 0 && now < start+int64(d)+int64(time.Minute); now += int64(wheelTick) / 10 {
			w.fire(now)
		}
		if late := time.Duration(fired-start) - d; late < 0 || late > 2*wheelTick {
			t.Errorf("timer of %v fired %v late", d, late)
		}
	}
}

func TestTimersOfOneTickFireInOrder(t *testing.T) {
	t.Parallel()
	w := startedWheel(0)
	var fired []int
	for i := range 5 {
		w.set(&Timer{fire: func() { fired = append(fired, i) }}, 50)
	}
	w.fire(int64(time.Second))
	if want := []int{0, 1, 2, 3, 4}; !slices.Equal(fired, want) {
		t.Errorf("got %v, want %v", fired, want)
	}
}

func TestFiringIsBounded(t *testing.T) {
	t.Parallel()
	w := startedWheel(0)
	fired := 0
	for range timersPerTurnMax + 10 {
		w.set(&Timer{fire: func() { fired++ }}, 50)
	}
	now := int64(time.Second)
	w.fire(now)
	if fired != timersPerTurnMax {
		t.Errorf("one turn fired %d, want %d", fired, timersPerTurnMax)
	}
	if wait := w.until(now, time.Hour); wait != 0 {
		t.Errorf("the loop would sleep %v although timers are due", wait)
	}
	w.fire(now)
	if fired != timersPerTurnMax+10 {
		t.Errorf("after two turns %d have fired, want all", fired)
	}
}

// A callback may set and stop timers, also the one that fires and one that is
// due at the same tick.
func TestTimerCallbacksMayChangeTheWheel(t *testing.T) {
	t.Parallel()
	w := startedWheel(0)
	again, stopped := 0, 0
	var repeat, victim Timer
	repeat.fire = func() {
		again++
		victim.Stop()
		w.set(&repeat, int64(time.Duration(again)*time.Second))
	}
	victim.fire = func() { stopped++ }
	w.set(&repeat, 50)
	w.set(&victim, 50)
	w.fire(int64(500 * time.Millisecond))
	if again != 1 || stopped != 0 {
		t.Errorf("got %d and %d, want the first once and the second never", again, stopped)
	}
	w.fire(int64(1500 * time.Millisecond))
	if again != 2 {
		t.Errorf("set again it fired %d times, want 2", again)
	}
}

func TestAfterAndStop(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	fired, stopped := 0, 0
	r.loop.After(time.Second, func() { fired++ })
	timer := r.loop.After(time.Second, func() { stopped++ })
	r.pass(900 * time.Millisecond)
	timer.Stop()
	timer.Stop()
	if fired != 0 {
		t.Error("fired early")
	}
	r.pass(300 * time.Millisecond)
	if fired != 1 || stopped != 0 {
		t.Errorf("got %d and %d, want 1 and 0", fired, stopped)
	}
}

// An idle loop sleeps, but never so long that its beat would be missed.
func TestPatience(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	r.quiet()
	if got := r.loop.patience(); got != beatEvery {
		t.Errorf("idle: got %v, want %v", got, beatEvery)
	}
	r.loop.After(200*time.Millisecond, func() {})
	if got := r.loop.patience(); got <= 0 || got > 300*time.Millisecond {
		t.Errorf("with a timer in 200ms: got %v", got)
	}
	beats := r.beats
	r.turn()
	if r.beats != beats+1 {
		t.Errorf("a turn beats %d times, want once", r.beats-beats)
	}
}

// Many idle connections wake the loop no more often than one.
func TestIdleConnectionsShareWakeUps(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{})
	for range 50 {
		r.connect()
		r.now += int64(37 * time.Millisecond)
	}
	due := map[int64]bool{}
	for c := range r.loop.registry.conns.all() {
		due[c.timer.due] = true
	}
	for at := range due {
		if at%int64(deadlineGrain) != 0 {
			t.Errorf("a connection's timer is due at %d, no multiple of %v", at, deadlineGrain)
		}
	}
}

// The wheel against a list that is searched through each time.
func TestWheelProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.Int64Range(0, 1<<50).Draw(t, "start")
		w := startedWheel(now)
		timers := make([]*Timer, 8)
		want := make([]int64, len(timers)) // due, 0: not pending
		for i := range timers {
			timers[i] = &Timer{fire: func() {
				if want[i] == 0 || want[i] > now {
					t.Fatalf("timer %d fired at %d, due %d", i, now, want[i])
				}
				want[i] = 0
			}}
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				i := rapid.IntRange(0, len(timers)-1).Draw(t, "timer")
				want[i] = now + 1 + rapid.Int64Range(0, int64(300*time.Second)).Draw(t, "in")
				w.set(timers[i], want[i])
			},
			"stop": func(t *rapid.T) {
				i := rapid.IntRange(0, len(timers)-1).Draw(t, "timer")
				timers[i].Stop()
				want[i] = 0
			},
			"pass": func(t *rapid.T) {
				now += rapid.Int64Range(0, int64(200*time.Second)).Draw(t, "time")
				w.fire(now)
			},
			"": func(t *rapid.T) {
				for i, due := range want {
					if due == 0 && timers[i].pending() {
						t.Fatalf("timer %d is pending", i)
					}
					if due != 0 && due+int64(wheelTick) <= now-now%int64(wheelTick) {
						t.Fatalf("timer %d has not fired at %d, due %d", i, now, due)
					}
					if next := now + int64(w.until(now, beatEvery)); due != 0 && next > ceilDivide(due, int64(wheelTick))*int64(wheelTick) && next > now {
						t.Fatalf("the loop would sleep until %d, timer %d is due at %d", next, i, due)
					}
				}
			},
		})
	})
}
