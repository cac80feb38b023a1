package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"
)

func TestFollowersGetEveryEventInOrder(t *testing.T) {
	t.Parallel()
	hub := NewHub()
	one, two := hub.Subscribe(0), hub.Subscribe(0)
	publish(hub, 0, 100)
	checkEvents(t, one, 0, 100)
	publish(hub, 100, 200)
	checkEvents(t, one, 100, 200)
	checkEvents(t, two, 0, 200)
}

func TestKeptEventsComeFirst(t *testing.T) {
	t.Parallel()
	hub := NewHub()
	now := time.Now()
	for i, age := range []time.Duration{time.Hour, time.Minute, time.Second} {
		hub.Publish(Event{Message: fmt.Sprint(i), Time: now.Add(-age)})
	}
	none, two, all := hub.Subscribe(0), hub.Subscribe(10*time.Minute), hub.Subscribe(24*time.Hour)
	publish(hub, 3, 4)
	checkEvents(t, none, 3, 4)
	checkEvents(t, two, 1, 4)
	checkEvents(t, all, 0, 4)
}

func TestOnlyTheLastEventsAreKept(t *testing.T) {
	t.Parallel()
	for name, published := range map[string]int{"fewer": keptMax - 1, "just as many": keptMax, "one more": keptMax + 1, "twice round": 2*keptMax + 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := NewHub()
			publish(hub, 0, published)
			checkEvents(t, hub.Subscribe(time.Hour), max(0, published-keptMax), published)
		})
	}
}

func TestSlowFollowerIsDroppedAlone(t *testing.T) {
	t.Parallel()
	hub := NewHub()
	slow, quick := hub.Subscribe(0), hub.Subscribe(0)
	publish(hub, 0, queueMax)
	checkEvents(t, quick, 0, queueMax)
	publish(hub, queueMax, queueMax+1)
	checkEvents(t, quick, queueMax, queueMax+1)
	publish(hub, queueMax+1, queueMax+2)
	checkEvents(t, slow, 0, queueMax) // what it had is not lost
	if _, err := slow.Next(t.Context()); !errors.Is(err, ErrSlow) {
		t.Errorf("got %v, want ErrSlow", err)
	}
	checkEvents(t, quick, queueMax+1, queueMax+2)
	slow.Close() // after the end, without harm
}

func TestHubCloseEndsFollowersBehindTheirEvents(t *testing.T) {
	t.Parallel()
	hub := NewHub()
	early := hub.Subscribe(0)
	publish(hub, 0, 2)
	hub.Close()
	hub.Close()
	publish(hub, 2, 3) // nobody hears it
	for name, follower := range map[string]Subscription{"early": early, "late": hub.Subscribe(time.Hour)} {
		checkEvents(t, follower, 0, 2)
		if _, err := follower.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want io.EOF", name, err)
		}
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	follower := NewHub().Subscribe(0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := follower.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestClosedFollowerIsForgotten(t *testing.T) {
	t.Parallel()
	hub := NewHub()
	follower := hub.Subscribe(0)
	follower.Close()
	follower.Close()
	if len(hub.followers) != 0 {
		t.Errorf("%d followers are left, want none", len(hub.followers))
	}
	if _, err := follower.Next(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want os.ErrClosed", err)
	}
}

// TestHubUnderLoad lets the race detector look at everything at once.
func TestHubUnderLoad(t *testing.T) {
	t.Parallel()
	hub := NewHub()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { publish(hub, 0, 500) })
		group.Go(func() {
			for range 50 {
				follower := hub.Subscribe(time.Hour)
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				for _, err := follower.Next(ctx); err == nil; _, err = follower.Next(ctx) {
				}
				cancel()
				follower.Close()
			}
		})
	}
	group.Wait()
	hub.Close()
	if len(hub.followers) != 0 {
		t.Errorf("%d followers are left, want none", len(hub.followers))
	}
}

// publish publishes events whose messages are the numbers from..to-1.
func publish(hub *Hub, from, to int) {
	for i := from; i < to; i++ {
		hub.Publish(Event{Message: fmt.Sprint(i), Level: "info"})
	}
}

func checkEvents(t *testing.T, follower Subscription, from, to int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := from; i < to; i++ {
		e, err := follower.Next(ctx)
		if err != nil || e.Message != fmt.Sprint(i) || e.Time.IsZero() {
			t.Fatalf("got event %+v, %v, want number %d", e, err, i)
		}
	}
}
