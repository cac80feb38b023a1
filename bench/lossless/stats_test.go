package main

import (
	"slices"
	"testing"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	if a, b := order(3, 0), order(3, 1); !slices.Equal(a, []int{0, 1, 2}) || !slices.Equal(b, []int{2, 1, 0}) {
		t.Errorf("got %v and %v, want there and back", a, b)
	}
}

func TestInTurn(t *testing.T) {
	t.Parallel()
	queue := inTurn(nil, []int{5, 3, 4})
	if !slices.Equal(queue, []int{5, 3, 4}) {
		t.Fatalf("got %v", queue)
	}
	// The first has been killed, 4 has died by itself, 6 and 7 are new.
	if queue = inTurn(queue[1:], []int{7, 3, 6}); !slices.Equal(queue, []int{3, 7, 6}) {
		t.Errorf("got %v, want those that have waited longest first", queue)
	}
}
