package stats

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := Median(test.values); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.values, got, test.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing: got %v, want NaN", got)
	}
}

func TestMeanRatio(t *testing.T) {
	t.Parallel()
	near := func(got, want float64) bool { return math.Abs(got-want) < 0.0005 }
	// Half and double cancel. Their logarithms are ±0.6931, so that the half width
	// is 12.706 × 0.9803 / √2.
	if got := MeanRatio([]float64{0.5, 2}); !near(got.Mean, 1) || !near(math.Log(got.High), 8.8073) || !near(got.Low*got.High, 1) {
		t.Errorf("half and double: got %+v", got)
	}
	if got := MeanRatio([]float64{1.1, 1.1, 1.1}); !near(got.Mean, 1.1) || !near(got.Low, 1.1) || !near(got.High, 1.1) {
		t.Errorf("always the same: got %+v", got)
	}
	if got := MeanRatio([]float64{1.1}); !near(got.Mean, 1.1) || !math.IsNaN(got.Low) || !math.IsNaN(got.High) {
		t.Errorf("one: got %+v, want an unknown interval", got)
	}
}

// The table and what goes on behind it meet.
func TestTQuantile(t *testing.T) {
	t.Parallel()
	for freedom, want := range map[int]float64{1: 12.706, 23: 2.069, 30: 2.042, 31: 2.0395, 40: 2.0211, 60: 2.0003, 120: 1.9799, 100000: 1.9600} {
		if got := tQuantile(freedom); math.Abs(got-want) > 0.0005 {
			t.Errorf("%d degrees of freedom: got %.4f, want %.4f", freedom, got, want)
		}
	}
}
