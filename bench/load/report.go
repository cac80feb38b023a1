package load

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// lateAfter is the lag from which on a request counts as Late.
const lateAfter = 10 * time.Millisecond

const (
	slowKeptMax        = 10_000 // bounds Report.Slow
	failuresPrintedMax = 20     // of Report.Failures, in its text
)

// Report is what became of a load. Two sums always hold: Scheduled = Sent +
// Unsent, and Sent = Answered + all of Failed.
type Report struct {
	Mode Mode `json:"mode"`
	// Scheduled is the number of requests that became due: Rate x Duration
	// unless the load was stopped, or is a closed loop.
	Scheduled int `json:"scheduled"`
	// Sent is the number of requests that were tried on the server, including
	// those whose connection was refused.
	Sent int `json:"sent"`
	// Unsent is the number that the generator could not send: every connection
	// busy until the timeout, or no port, descriptor or memory left.
	Unsent int `json:"unsent"`
	// Late is how many of those sent began 10 ms or more after they were due: in
	// mode KeepAlive they waited for a free connection, in mode NewConnection
	// this machine was too slow. Their latency includes it.
	Late int `json:"late"`
	// LagMax is the longest time between due and sent.
	LagMax time.Duration `json:"lag_max_ns"`
	// Answered is the number of status 200 with a complete body, in time.
	Answered int `json:"answered"`
	// Failed has an entry for each class that occurred.
	Failed map[Class]int `json:"failed"`
	// Latency is that of the answered ones, from due to the answer's last byte.
	Latency Quantiles `json:"latency"`
	// BySlot, ByGeneration and ByPID spread the answered requests over the
	// workers; answers that name no worker are in none of them.
	BySlot       map[int]int `json:"by_slot"`
	ByGeneration map[int]int `json:"by_generation"`
	ByPID        map[int]int `json:"by_pid"`
	// Connections is the number of connections that were opened.
	Connections int `json:"connections"`
	// Elapsed is the time from the first due moment to the end of the last request.
	Elapsed time.Duration `json:"elapsed_ns"`
	// Failures are the first failed and unsent requests, at most 100, in the
	// order in which they failed.
	Failures []Failure `json:"failures,omitempty"`
	// Began is the start of the schedule.
	Began time.Time `json:"began"`
	// Slow are the answers that came more than Config.SlowAfter after they were
	// sent, at most 10,000, in the order of their numbers; SlowAnswers counts all.
	Slow        []Slow `json:"slow,omitempty"`
	SlowAnswers int    `json:"slow_answers"`
}

// Slow tells about one slow answer. From Due+Lag to Due+Latency it was on the
// server's side.
type Slow struct {
	Due     time.Duration `json:"due_ns"`     // from the start of the schedule
	Lag     time.Duration `json:"lag_ns"`     // from due to sent
	Latency time.Duration `json:"latency_ns"` // from due to the answer's last byte
	PID     int           `json:"pid"`        // of the worker that answered; 0: it did not say
}

// Failure tells about one request that was not answered.
type Failure struct {
	Due    time.Duration `json:"due_ns"` // from the start of the schedule
	At     time.Duration `json:"at_ns"`  // when it failed, from there too
	Class  Class         `json:"class"`
	Reason string        `json:"reason"`
}

// Quantiles of a latency by nearest rank; all zero without a sample.
type Quantiles struct {
	Min  time.Duration `json:"min_ns"`
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
}

// outcome is what became of one request.
type outcome struct {
	due        time.Duration // from the start of the schedule
	latency    time.Duration // of an answer: from due to its last byte
	lag        time.Duration // from due to sent
	connection int32         // the index of the one that carried it
	worker     identity      // of an answer
	class      Class
}

// Lost is the number of scheduled requests that got no answer, whoever's fault
// it was. "No request is lost" is Lost() == 0 and nothing weaker.
func (r Report) Lost() int { return r.Scheduled - r.Answered }

// String is the report for people, several lines.
func (r Report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d scheduled in %s, mode %s: %d answered, %d lost\n",
		r.Scheduled, r.Elapsed.Round(time.Millisecond), r.Mode, r.Answered, r.Lost())
	for class := Refused; class < classes; class++ {
		if n := r.Failed[class]; n > 0 {
			fmt.Fprintf(&text, "  failed %s: %d\n", class, n)
		}
	}
	fmt.Fprintf(&text, "  sent %d, unsent %d, late %d (worst lag %s), connections %d\n",
		r.Sent, r.Unsent, r.Late, r.LagMax.Round(time.Microsecond), r.Connections)
	fmt.Fprintf(&text, "  latency %s\n", r.Latency)
	if r.SlowAnswers > 0 {
		fmt.Fprintf(&text, "  slow answers %d, the first: %+v\n", r.SlowAnswers, r.Slow[0])
	}
	fmt.Fprintf(&text, "  by slot %v, by generation %v, by pid %v\n", r.BySlot, r.ByGeneration, r.ByPID)
	for _, f := range r.Failures[:min(len(r.Failures), failuresPrintedMax)] {
		fmt.Fprintf(&text, "  at %s %s: %s\n", f.Due.Round(time.Millisecond), f.Class, f.Reason)
	}
	return text.String()
}

func (q Quantiles) String() string {
	short := func(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
	return fmt.Sprintf("min %s, p50 %s, p90 %s, p99 %s, p99.9 %s, max %s",
		short(q.Min), short(q.P50), short(q.P90), short(q.P99), short(q.P999), short(q.Max))
}

// report counts the outcomes.
func (l *loop) report(elapsed time.Duration) Report {
	r := Report{
		Mode:         l.config.Mode,
		Scheduled:    len(l.outcomes),
		Failed:       map[Class]int{},
		BySlot:       map[int]int{},
		ByGeneration: map[int]int{},
		ByPID:        map[int]int{},
		Connections:  l.opened,
		Elapsed:      elapsed,
		Failures:     l.failures,
		Began:        l.start,
	}
	latencies := make([]time.Duration, 0, len(l.outcomes))
	for _, o := range l.outcomes {
		r.count(o)
		if o.class != answered {
			continue
		}
		latencies = append(latencies, o.latency)
		if limit := l.config.SlowAfter; limit > 0 && o.latency-o.lag > limit {
			r.countSlow(Slow{Due: o.due, Lag: o.lag, Latency: o.latency, PID: int(o.worker.pid)})
		}
	}
	r.Latency = quantiles(latencies)
	return r
}

func (r *Report) count(o outcome) {
	if o.class == unsent {
		r.Unsent++
		return
	}
	r.Sent++
	r.LagMax = max(r.LagMax, o.lag)
	if o.lag >= lateAfter {
		r.Late++
	}
	if o.class != answered {
		r.Failed[o.class]++
		return
	}
	r.Answered++
	if o.worker.known {
		r.BySlot[int(o.worker.slot)]++
		r.ByGeneration[int(o.worker.generation)]++
		r.ByPID[int(o.worker.pid)]++
	}
}

func (r *Report) countSlow(s Slow) {
	r.SlowAnswers++
	if len(r.Slow) < slowKeptMax {
		r.Slow = append(r.Slow, s)
	}
}

// quantiles sorts the samples in place.
func quantiles(samples []time.Duration) Quantiles {
	if len(samples) == 0 {
		return Quantiles{}
	}
	slices.Sort(samples)
	// Nearest rank: the smallest sample that perMille of all do not exceed.
	rank := func(perMille int) time.Duration {
		return samples[max(0, (len(samples)*perMille+999)/1000-1)]
	}
	return Quantiles{
		Min:  samples[0],
		P50:  rank(500),
		P90:  rank(900),
		P99:  rank(990),
		P999: rank(999),
		Max:  samples[len(samples)-1],
	}
}
