package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"prefork/bench/chart"
	"prefork/bench/load"
	"prefork/bench/peer"
	"prefork/bench/stats"
)

const (
	// costClients is the number of clients of a closed loop that keep all workers
	// busy: a schedule above what a server can do would only grow a queue.
	costClients = 64
	// lowShare is the load at which helping costs most, as a share of what the
	// server can do: idle siblings are woken although the owner is there.
	lowShare = 0.3
	// The most that helping may cost, as a ratio.
	saturatedMax, lowMax = 1.02, 1.12
)

// cost is the workers' CPU time for a request, with helpers and without, in pairs.
type cost struct {
	load    string
	with    []time.Duration
	without []time.Duration
	most    float64
}

func (c cost) ratio() stats.Interval {
	var ratios []float64
	for i := range c.with {
		ratios = append(ratios, float64(c.with[i])/float64(c.without[i]))
	}
	return stats.MeanRatio(ratios)
}

// limit holds if the interval reaches down to it: what is beyond the limit by
// chance alone is not a breach.
func (c cost) limit() chart.Limit {
	r := c.ratio()
	return chart.Limit{
		What: "CPU with helpers to that without, " + c.load + ", lower end of the interval",
		Got:  ratioText(r.Low), Most: ratioText(c.most), Holds: r.Low <= c.most, Soft: true,
	}
}

func (c cost) cells() []string {
	r := c.ratio()
	return []string{
		c.load, strconv.Itoa(len(c.with)), microseconds(c.without), microseconds(c.with),
		strconv.FormatFloat(r.Mean, 'f', 3, 64),
		fmt.Sprintf("%.3f to %.3f", r.Low, r.High), ratioText(c.most),
	}
}

var costHeader = []string{"load", "pairs", "--helpers 0 µs", "--helpers 2 µs", "ratio", "95 % interval", "limit"}

func microseconds(all []time.Duration) string {
	var values []float64
	for _, d := range all {
		values = append(values, float64(d)/float64(time.Microsecond))
	}
	return strconv.FormatFloat(stats.Median(values), 'f', 1, 64)
}

// runCost measures what helping costs on short connections. Two masters run at
// once and are loaded in turn, so that both see the same machine, the idle one
// costing the busy one nothing.
func runCost(ctx context.Context, l *lab) (all []section, err error) {
	found := section{name: "cost", title: "What helping costs: CPU time of the workers for one short connection"}
	with, thereWith := named(l.subjects, "prefork")
	without, thereWithout := named(l.subjects, "prefork-alone")
	if !thereWith || !thereWithout || with.missing+without.missing != "" {
		found.notes = []string{"Not measured: it needs prefork and prefork-alone. " + with.missing + without.missing}
		return []section{found}, nil
	}
	pair, err := l.startPair(ctx, with, without)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pair.stop()) }()
	saturated := cost{load: "saturated", most: saturatedMax}
	capacity, err := pair.compare(ctx, l, &saturated, load.Config{Closed: true, Clients: costClients, Duration: l.size.slice})
	if err != nil {
		return nil, err
	}
	rate := max(1, int(lowShare*capacity))
	low := cost{load: fmt.Sprintf("%.0f %%, %d requests/s", 100*lowShare, rate), most: lowMax}
	if _, err := pair.compare(ctx, l, &low, load.Config{Rate: rate, Duration: l.size.slice}); err != nil {
		return nil, err
	}
	found.costs = []cost{saturated, low}
	found.limits = []chart.Limit{saturated.limit(), low.limit()}
	return []section{found}, nil
}

func named(all []subject, name string) (subject, bool) {
	for _, s := range all {
		if s.name == name {
			return s, true
		}
	}
	return subject{}, false
}

// pair are two servers that are compared.
type pair struct{ with, without server }

func (l *lab) startPair(ctx context.Context, with, without subject) (pair, error) {
	var servers []server
	for _, s := range []subject{with, without} {
		at, err := peer.NewPlace(l.dir)
		if err == nil {
			var started server
			if started, err = s.start(ctx, at); err == nil {
				servers = append(servers, started)
			}
		}
		if err != nil {
			for _, s := range servers {
				err = errors.Join(err, s.Stop())
			}
			return pair{}, err
		}
	}
	return pair{servers[0], servers[1]}, nil
}

func (p pair) stop() error { return errors.Join(p.with.Stop(), p.without.Stop()) }

// compare measures both in turn, the first one changing with each pair, and returns
// how many requests a second the one without helpers answered.
func (p pair) compare(ctx context.Context, l *lab, c *cost, cfg load.Config) (perSecond float64, err error) {
	var rates []float64
	// One pair more than is kept: the first warms up.
	for i := range l.size.pairs + 1 {
		if i%10 == 1 {
			fmt.Fprintf(l.log, "cost: %s, pair %d of %d\n", c.load, i, l.size.pairs)
		}
		var used [2]time.Duration
		for _, which := range order(2, i) {
			s := []server{p.with, p.without}[which]
			report, cpu, err := slice(ctx, s, cfg)
			if err != nil {
				return 0, err
			}
			used[which] = cpu / time.Duration(report.Answered)
			if s == p.without {
				rates = append(rates, float64(report.Answered)/report.Elapsed.Seconds())
			}
		}
		if i > 0 {
			c.with, c.without = append(c.with, used[0]), append(c.without, used[1])
		}
	}
	return stats.Median(rates), nil
}

// slice loads a server for a moment and returns what its workers used for it.
func slice(ctx context.Context, s server, cfg load.Config) (load.Report, time.Duration, error) {
	pids, err := s.Workers(ctx)
	if err != nil {
		return load.Report{}, 0, err
	}
	before, err := cpuOf(pids)
	if err != nil {
		return load.Report{}, 0, err
	}
	cfg.Addr, cfg.Timeout = s.Addr(), clientPatience
	report, err := load.Run(ctx, cfg)
	if err != nil {
		return load.Report{}, 0, err
	}
	after, err := cpuOf(pids)
	switch {
	case err != nil:
		return load.Report{}, 0, err
	case ctx.Err() != nil:
		return load.Report{}, 0, ctx.Err()
	case report.Answered == 0 || report.Lost() > 0:
		return load.Report{}, 0, fmt.Errorf("measure cost: requests were lost, which nothing here explains:\n%s", report)
	}
	return report, after - before, nil
}

// cpuOf is the user and system time of processes. Workers that are replaced
// meanwhile would spoil it: one that has ended is an error.
func cpuOf(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		used, err := peer.CPUTimeOf(pid)
		if err != nil {
			return 0, fmt.Errorf("measure cost: worker %d: %w", pid, err)
		}
		sum += used
	}
	return sum, nil
}
