package testproc

import (
	"testing"
	"time"
)

// Patience bounds every wait of this package. It is for a machine that is
// overloaded; a healthy one needs a thousandth.
const Patience = 30 * time.Second

// pollInterval is how often a condition is looked at that gives no notice.
const pollInterval = 5 * time.Millisecond

// Await waits until a condition holds, asking it every few milliseconds. The
// test fails after Patience; what completes the sentence "waiting for …".
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	awaitEvery(t, pollInterval, what, holds)
}

func awaitEvery(t testing.TB, interval time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: not so after %s", what, Patience)
		}
		<-ticker.C
	}
}
