package load

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The quantiles agree with a second way to say what they are: the smallest sample
// that at least this share of all does not exceed.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 50).Draw(t, "latency"))
		}), 1, 3000).Draw(t, "samples")
		got := quantiles(slices.Clone(samples))
		want := Quantiles{
			Min: slices.Min(samples), P50: slowQuantile(samples, 500), P90: slowQuantile(samples, 900),
			P99: slowQuantile(samples, 990), P999: slowQuantile(samples, 999), Max: slices.Max(samples),
		}
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
	if got := quantiles(nil); got != (Quantiles{}) {
		t.Errorf("without samples: got %+v, want zero", got)
	}
}

func slowQuantile(samples []time.Duration, perMille int) time.Duration {
	for candidate := time.Duration(0); ; candidate++ {
		within := 0
		for _, sample := range samples {
			if sample <= candidate {
				within++
			}
		}
		if within*1000 >= perMille*len(samples) && slices.Contains(samples, candidate) {
			return candidate
		}
	}
}

func TestReportTexts(t *testing.T) {
	t.Parallel()
	r := Report{
		Mode: NewConnection, Scheduled: 10, Sent: 9, Unsent: 1, Answered: 7,
		Failed:   map[Class]int{Reset: 2},
		BySlot:   map[int]int{0: 4, 1: 3},
		Failures: []Failure{{Due: time.Second, Class: Reset, Reason: "read: connection reset by peer"}},
	}
	for _, part := range []string{"7 answered, 3 lost", "failed reset: 2", "unsent 1", "map[0:4 1:3]", "at 1s reset: read:"} {
		if !strings.Contains(r.String(), part) {
			t.Errorf("text lacks %q:\n%s", part, r)
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"failed":{"reset":2}`, `"by_slot":{"0":4,"1":3}`, `"class":"reset"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("JSON lacks %q:\n%s", part, text)
		}
	}
}

func TestClassNames(t *testing.T) {
	t.Parallel()
	for class := Class(0); class < classes; class++ {
		if class.String() == "" {
			t.Errorf("class %d has no name", uint8(class))
		}
	}
	if got, want := Class(99).String(), "class 99"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
