package supervise

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	schedules = flag.Int("schedules", 2000, "how many seeds TestSimulation runs")
	oneSeed   = flag.Uint64("seed", 0, "the only seed that TestSimulation runs")
)

// TestSimulation runs machines against a hostile kernel, each for about a
// minute of its own time: every fault of the table, operators at bad moments,
// and now and then a restart from a snapshot. Check and the witness look at
// every step. In the end the kernel is calm and the service must recover (L1),
// then it is stopped and must end (L2).
//
//	go test ./master/supervise -run TestSimulation -schedules 100000
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *oneSeed > 0 {
		k := simulate(*oneSeed)
		report(t, *oneSeed, k)
		if k.problem == nil {
			t.Logf("seed %d finds nothing:\n%s", *oneSeed, k.trail.script())
		}
		return
	}
	var next atomic.Uint64
	var mu sync.Mutex
	var total [faultsMax]int
	steps, recovered, handedOver := 0, 0, 0
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for seed := next.Add(1); seed <= uint64(*schedules) && !t.Failed(); seed = next.Add(1) {
				k := simulate(seed)
				mu.Lock()
				report(t, seed, k)
				steps += len(k.trail.facts)
				recovered += k.recovered
				handedOver += k.handedOver
				for f, n := range k.faults {
					total[f] += n
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.Logf("%d schedules, %d steps, %d recovered, %d connections handed over", *schedules, steps, recovered, handedOver)
	for f, n := range total {
		t.Logf("%8d × %s", n, fault(f))
		if n == 0 && *schedules >= 2000 && !t.Failed() {
			t.Errorf("the fault %q never occurred: the simulation has lost it", fault(f))
		}
	}
}

// report says what went wrong, as a story that shows it, and how to see it again.
func report(t *testing.T, seed uint64, k *kernel) {
	if k.problem == nil {
		return
	}
	short := k.trail.shrunk()
	t.Errorf("seed %d: %v\nagain: go test ./master/supervise -run TestSimulation -seed %d\nas a story of %d facts (of %d):\n%s",
		seed, k.problem, seed, len(short.facts), len(k.trail.facts), short.script())
}

// simulate is one schedule.
func simulate(seed uint64) *kernel {
	k := newKernel(seed)
	k.hostile = k.random.IntN(4) == 0 // else most machines would not survive their start
	k.tell(Started{})
	if !k.hostile {
		k.run(k.now + 2*time.Second)
		k.hostile = true
	}
	end := k.now + k.between(5*time.Second, 40*time.Second)
	if k.flapping = k.random.IntN(30) == 0; k.flapping {
		end += respawnWindow
	}
	k.planOperators(end)
	switch k.random.IntN(12) {
	case 0, 1, 2:
		k.after(k.between(0, end-k.now), k.stop)
	case 3:
		k.after(k.between(0, time.Second), k.stop)
	case 4: // when the workers were just wanted back
		k.after(k.between(0, end-k.now), func() {
			k.tell(SignalReceived{Signal: SIGWINCH})
			k.tell(SignalReceived{Signal: SIGTTIN})
			k.after(k.between(0, 300*time.Millisecond), k.stop)
		})
	}
	k.run(end)
	k.calm()
	k.run(k.now + fateMax)
	if k.m.Phase != stopping && k.m.Phase != gone {
		k.tell(SignalReceived{Signal: SIGHUP}) // out of drained, and to one generation everywhere
		k.run(k.now + k.recovery())
		k.checkRecovered()
		k.stop()
	}
	k.run(k.now + k.farewell())
	if k.problem == nil && !k.witness.exited {
		k.problem = fmt.Errorf("L2: the master should have ended: phase %d", k.m.Phase)
	}
	return k
}

// planOperators decides who wants what, and when.
func (k *kernel) planOperators(end Time) {
	for range k.random.IntN(16) {
		k.after(k.between(0, end-k.now), k.operator)
	}
	for range k.random.IntN(3) {
		k.after(k.between(0, end-k.now), k.disaster)
	}
}

// operator does one thing that operators do.
func (k *kernel) operator() {
	switch k.random.IntN(12) {
	case 0, 1:
		k.ask(func(c Caller) Event {
			ev := ReloadRequested{Caller: c}
			if k.random.IntN(2) == 0 {
				ev.Timeout = k.between(0, 5*time.Second)
			}
			return ev
		})
	case 2:
		k.ask(func(c Caller) Event { return ScaleRequested{Caller: c, Workers: k.random.IntN(6)} })
	case 3:
		k.ask(func(c Caller) Event {
			return ScaleRequested{Caller: c, Relative: true, Delta: k.random.IntN(5) - 2}
		})
	case 4:
		k.ask(func(c Caller) Event { return UpgradeRequested{Caller: c} })
	case 5:
		k.ask(func(c Caller) Event { return ReopenRequested{Caller: c} })
	case 6, 7:
		k.tell(SignalReceived{Signal: SIGHUP})
	case 8:
		k.tell(SignalReceived{Signal: SIGWINCH, Terminal: Terminal(k.random.IntN(2))})
	case 9:
		k.tell(SignalReceived{Signal: SIGTTIN})
	case 10:
		k.recycleSomebody()
	case 11:
		k.tell(SignalReceived{Signal: []Signal{SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2}[k.random.IntN(4)]})
	}
}

// ask has a client ask, who may lose patience.
func (k *kernel) ask(request func(Caller) Event) {
	k.lastCaller++
	c := k.lastCaller
	k.tell(request(c))
	if k.one(3) {
		k.after(k.between(0, 2*time.Second), func() {
			if k.witness.callers[c] > 0 {
				k.saw(clientVanishes)
			}
			k.tell(CallerLeft{Caller: c})
		})
	}
}

func (k *kernel) recycleSomebody() {
	for _, s := range k.m.Slots {
		if s.Serving != nil {
			k.tell(RecycleRequested{ID: s.Serving.ID, Reason: "it is fat"})
			return
		}
	}
}

// disaster befalls everybody at once.
func (k *kernel) disaster() {
	switch k.random.IntN(5) {
	case 0: // the master is stopped, by a debugger or SIGSTOP
		k.pause(0)
	case 1: // the whole machine stands still
		k.pause(1)
	case 2:
		if k.m.Phase == running {
			k.saw(signalStorm)
		}
		for range 20 {
			k.tell(SignalReceived{Signal: []Signal{SIGHUP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGHUP}[k.random.IntN(6)]})
		}
	case 3: // the OOM killer takes them all, and SIGCHLD comes once
		for _, s := range slices.Clone(k.m.Slots) {
			for _, w := range s.workers() {
				k.exit(k.tasks[w.ID], "killed by SIGKILL")
			}
		}
	case 4:
		k.mend()
	}
}

// pause stops the master, and the share of everybody else's time too.
func (k *kernel) pause(share time.Duration) {
	length := k.between(time.Second, 15*time.Second)
	k.resume = k.now + length
	k.stalled += share * length
	k.pauses += length
	if k.m.anyReady() && length > 8*time.Second { // longer than any hang-timeout
		k.saw(heartbeatsLate)
	}
}

// stop ends the service in one of the ways in which that is done.
func (k *kernel) stop() {
	if k.m.Phase == running || k.m.Phase == drained {
		k.saw(stopDuring(k.m))
	}
	switch k.random.IntN(5) {
	case 0:
		k.ask(func(c Caller) Event { return StopRequested{Caller: c} })
	case 1:
		k.saw(stopAtOnce)
		k.ask(func(c Caller) Event { return StopRequested{Caller: c, Now: true} })
	case 2:
		k.tell(SignalReceived{Signal: SIGTERM})
	case 3:
		k.tell(SignalReceived{Signal: SIGHUP, Terminal: TerminalGone})
	case 4:
		k.tell(SignalReceived{Signal: SIGINT, Terminal: TerminalHere})
		k.after(k.between(0, 2*time.Second), func() { k.tell(SignalReceived{Signal: SIGINT, Terminal: TerminalHere}) })
	}
}

// calm ends the faults: nothing new goes wrong any more. What was decided
// before still happens, within fateMax.
func (k *kernel) calm() {
	k.hostile = false
	for _, s := range k.m.Slots {
		for _, w := range s.Leaving {
			if t := k.tasks[w.ID]; t != nil && t.killed {
				k.after(0, func() { k.exit(t, "killed by SIGKILL") })
			}
		}
	}
}

// recovery is how long the service may take when nothing goes wrong any more:
// what is under way runs out of its time, a slot that died too often waits for
// its window, what hangs is found, and then a reload goes through.
func (k *kernel) recovery() time.Duration {
	return respawnWindow + 30*time.Second + 8*6*time.Second + abortTimeout + killTimeout
}

// checkRecovered is L1.
func (k *kernel) checkRecovered() {
	if k.problem != nil || k.witness.exited {
		return
	}
	m := k.m
	k.recovered++
	switch {
	case m.Phase != running || m.Change != nil || m.NextReload != nil || m.NextScale != nil || len(m.Loading) > 0:
		k.problem = fmt.Errorf("L1: phase %d, change %+v, next %+v %+v, loading %v", m.Phase, m.Change, m.NextReload, m.NextScale, m.Loading)
	case len(m.Slots) != m.Wanted || k.witness.opened != m.Wanted:
		k.problem = fmt.Errorf("L1: %d slots wanted, %d there, %d open", m.Wanted, len(m.Slots), k.witness.opened)
	case m.Announced != StateServing:
		k.problem = fmt.Errorf("L1: the state is %s", m.Announced)
	}
	for _, s := range m.Slots {
		w := s.Serving
		if w == nil || w.State != Ready || w.Unwell || w.Generation != m.Generation || len(s.workers()) != 1 {
			k.problem = fmt.Errorf("L1: slot %d serves by %+v, %d workers, generation %d", s.Number, w, len(s.workers()), m.Generation)
		}
	}
	if len(m.Accounts) > 0 {
		k.problem = fmt.Errorf("L3: account %+v is still open", m.Accounts[0])
	}
	helpers := 0
	if m.Target.Own || k.greeting[m.Target.Revision] {
		helpers = m.Target.Helpers
	}
	if err := k.witness.help.checkRing(k.witness, len(m.Slots), helpers); err != nil && k.problem == nil {
		k.problem = err
	}
	for c, n := range k.witness.callers {
		if c != 0 && n > 0 && !k.witness.nobody[c] {
			k.problem = fmt.Errorf("L1: %s still waits for an answer", hash(c))
		}
	}
}

// farewell is L2's bound.
func (k *kernel) farewell() time.Duration {
	return 8*time.Second + asksMax + abortTimeout + 2*killTimeout + k.pauses + pauseGrace
}

// reincarnate goes on with a machine that was restored from a snapshot. The
// original becomes its twin.
func (k *kernel) reincarnate() {
	m, err := Restore(k.m.Snapshot())
	if err != nil {
		k.problem = err
		return
	}
	k.m, k.twin, k.twinSteps = m, k.m, 20
}

// compareTwin wants the restored machine and the original to do the same.
func (k *kernel) compareTwin(now Time, ev Event, actions []Action) {
	if k.twin == nil {
		return
	}
	if other := k.twin.Step(now, ev); !slices.Equal(actions, other) {
		k.problem = fmt.Errorf("after a restore %q leads to\n%v\nwithout it to\n%v", textOf(ev), actions, other)
	}
	if k.twinSteps--; k.twinSteps == 0 {
		k.twin = nil
	}
}
