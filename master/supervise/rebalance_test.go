package supervise

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// held makes loads of workers in slots 0, 1, ... that have been heavy before, or not.
func held(heavy bool, connections ...int) []load {
	var all []load
	for slot, n := range connections {
		all = append(all, load{&worker{ID: WorkerID{Slot: slot, Incarnation: uint64(slot) + 1}, Heavy: heavy}, n})
	}
	return all
}

func TestSpreadOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		connections []int
		want        string // from>to:connections
	}{
		"nobody":                  {},
		"one worker":              {connections: []int{100}},
		"nothing":                 {connections: []int{0, 0, 0, 0}},
		"even":                    {connections: []int{16, 16, 16, 16}},
		"within the bounds":       {connections: []int{19, 15, 15, 15}},
		"few more, many per cent": {connections: []int{4, 0, 0, 0}},
		"just too much":           {connections: []int{20, 16, 14, 14}, want: "[0>2:2 0>3:2]"},
		"a burst":                 {connections: []int{40, 12, 8, 4}, want: "[0>3:12 0>2:8 0>1:4]"},
		"two heavy ones":          {connections: []int{30, 30, 2, 2}, want: "[1>2:14 0>3:14]"},
		"after a restart":         {connections: []int{22, 21, 21, 0}, want: "[0>3:6 2>3:5 1>3:5]"},
		"a step at a time":        {connections: []int{4000, 0}, want: "[0>1:512]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if moves := spreadOut(held(false, test.connections...)); len(moves) > 0 {
				t.Errorf("at first sight: %v", moves)
			}
			var got []string
			for _, m := range spreadOut(held(true, test.connections...)) {
				got = append(got, fmt.Sprintf("%d>%d:%d", m.from.ID.Slot, m.to.ID.Slot, m.connections))
			}
			if s := fmt.Sprint(got); s != test.want && (len(got) > 0 || test.want != "") {
				t.Errorf("got %s, want %s", s, test.want)
			}
		})
	}
}

// Nobody ends up below the mean by giving, or above it by taking, and a heavy worker
// is left within the bounds if one step is enough.
func TestSpreadOutIsFair(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		connections := make([]int, 1+random.IntN(9))
		for i := range connections {
			connections[i] = random.IntN(300)
		}
		total := 0
		for _, n := range connections {
			total += n
		}
		mean := total / len(connections)
		after := slices.Clone(connections)
		for _, m := range spreadOut(held(true, connections...)) {
			if m.connections <= 0 {
				t.Fatalf("%v: a move of %d", connections, m.connections)
			}
			after[m.from.ID.Slot] -= m.connections
			after[m.to.ID.Slot] += m.connections
		}
		for i := range after {
			gave, took := after[i] < connections[i], after[i] > connections[i]
			if gave && after[i] < mean || took && after[i] > mean {
				t.Fatalf("%v became %v", connections, after)
			}
			if isHeavy(after[i], total, len(after)) && mean-slices.Min(after) > len(after) {
				t.Fatalf("%v became %v: one is heavy and another is light", connections, after)
			}
		}
	}
}
