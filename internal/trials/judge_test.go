package trials

import (
	"fmt"
	"testing"
	"time"

	"prefork/bench/load"
)

const (
	// killSeen is how soon after a kill its client sees the end of the connection.
	killSeen = 200 * time.Millisecond
	// stillMax is the share of a trial's time that the CPUs may stand still on
	// average. Beyond it no time says anything about the service, and only what is
	// lost is judged.
	stillMax = 0.15
)

// outcome is what a load came to.
type outcome struct {
	load.Report
	// failed were sent and not answered.
	failed int
	// held are late answers of a worker that was stopped meanwhile: it had
	// accepted the connection, and nobody else could have answered.
	held int
	// late are the other answers that came later than load.Config.SlowAfter, what
	// the machine stood still meanwhile taken off.
	late []load.Slow
	// still says that the machine stood still too much for times to be judged.
	still bool
}

// finish waits for the end of a load, and prints and judges what holds for all: at
// least nine in ten of the schedule were answered.
func (s *service) finish(t *testing.T, g *load.Generator, limit time.Duration) outcome {
	t.Helper()
	o := outcome{Report: g.Wait()}
	o.failed = o.Sent - o.Answered
	for _, slow := range o.Slow {
		when := span{o.Began.Add(slow.Due + slow.Lag), o.Began.Add(slow.Due + slow.Latency)}
		switch {
		case when.to.Sub(when.from)-s.pauses.allowed(when) <= limit:
		case s.wasStopped(slow.PID, when):
			o.held++
		default:
			o.late = append(o.late, slow)
		}
	}
	whole := span{o.Began, o.Began.Add(o.Elapsed)}
	o.still = s.pauses.share(whole) > stillMax
	t.Logf("%d scheduled, %d answered, %d failed %v, %d unsent; later than %s: %d, and %d that a stopped worker held; p99 %s, p99.9 %s, max %s; lag %s, longest pause %s",
		o.Scheduled, o.Answered, o.failed, o.Failed, o.Unsent, limit, len(o.late), o.held,
		o.Latency.P99, o.Latency.P999, o.Latency.Max, o.LagMax, s.pauses.longest())
	s.checkLog(t)
	if o.still {
		t.Logf("the CPUs stood still for %.0f %% of that time: lateness is not judged", 100*s.pauses.share(whole))
		o.held, o.late = 0, nil
		return o
	}
	if unknown := o.SlowAnswers - len(o.Slow); unknown > 0 {
		t.Errorf("%d answers more were later than %s than could be judged", unknown, limit)
	}
	if o.Answered*10 < o.Scheduled*9 {
		t.Errorf("%d of %d scheduled requests were answered, want at least 90 %%", o.Answered, o.Scheduled)
	}
	return o
}

// unexplained is the number of failed requests that no kill explains: each may
// cost so many, which fail at that moment. A killed worker closes what it had in
// its hands, and nothing else: what waits in a queue is not its own.
func (s *service) unexplained(t *testing.T, o outcome, perKill int) int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	cost := make([]int, len(s.kills))
	explained := 0
	for _, f := range o.Failures {
		switch {
		case f.Class < load.Refused: // unsent
		case s.explains(cost, o.Began.Add(f.At), perKill):
			explained++
		default:
			t.Logf("no kill explains a request that was due %s and failed at %s: %s; kills since the start of the load:%s", f.Due, f.At, f.Reason, s.killsSince(o.Began))
		}
	}
	return o.failed - explained
}

// explains finds a kill for what failed at a moment: the earliest that can be meant,
// so that the later ones are left for later failures.
func (s *service) explains(cost []int, at time.Time, perKill int) bool {
	for i, kill := range s.kills {
		seen := kill.Add(killSeen + s.pauses.allowed(span{kill, at}))
		if cost[i] < perKill && !at.Before(kill) && !at.After(seen) {
			cost[i]++
			return true
		}
	}
	return false
}

func (s *service) killsSince(began time.Time) (text string) {
	for _, kill := range s.kills {
		text += fmt.Sprintf(" %.3fs", kill.Sub(began).Seconds())
	}
	return text
}

// atMost judges a count.
func (o outcome) atMost(t *testing.T, what string, got, limit int) {
	t.Helper()
	if got > limit {
		t.Errorf("%d %s, want at most %d; late: %+v\n%v", got, what, limit, o.late[:min(5, len(o.late))], o.Report)
	}
}
