package stats

import (
	"math"
	"slices"
)

// Median is NaN without values.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Interval is a mean with the ends of its 95 % confidence interval.
type Interval struct{ Mean, Low, High float64 }

// MeanRatio is the geometric mean of ratios: half and double cancel each other. The
// interval is that of the t distribution over their logarithms; below two values it
// is unknown (NaN).
func MeanRatio(ratios []float64) Interval {
	n := float64(len(ratios))
	sum, squares := 0.0, 0.0
	for _, r := range ratios {
		sum += math.Log(r)
	}
	mean := sum / n // NaN without values
	for _, r := range ratios {
		squares += (math.Log(r) - mean) * (math.Log(r) - mean)
	}
	if len(ratios) < 2 {
		return Interval{math.Exp(mean), math.NaN(), math.NaN()}
	}
	half := tQuantile(len(ratios)-1) * math.Sqrt(squares/(n-1)/n)
	return Interval{math.Exp(mean), math.Exp(mean - half), math.Exp(mean + half)}
}

// tQuantiles are the 0.975 quantiles of the t distribution for 1 to 30 degrees of
// freedom.
var tQuantiles = [...]float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
	2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
	2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
}

// tQuantile is the 0.975 quantile for at least one degree of freedom. Beyond the
// table it is expanded around the normal distribution's (Abramowitz and Stegun,
// 26.7.5), which is right to three digits there.
func tQuantile(freedom int) float64 {
	if freedom <= len(tQuantiles) {
		return tQuantiles[freedom-1]
	}
	const z = 1.959964
	f := float64(freedom)
	return z + (z*z*z+z)/(4*f) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*f*f)
}
