package supervise

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// kernel is a fake operating system with a fake shell around a machine: it
// does what the actions say, lets processes live and die, and tells the
// machine about it. One seed decides everything. While it is hostile it
// injects the faults of faults_test.go; when it is calm nothing goes wrong
// any more, except what went wrong before.
type kernel struct {
	random  *rand.Rand
	m       *Machine
	witness *witness
	trail   trail
	faults  [faultsMax]int

	now      Time
	resume   Time          // the master stands still until then
	stalled  time.Duration // for so long in all the whole machine stood still
	pauses   time.Duration // for so long in all the master stood still
	plans    plans         // the future
	planned  int
	hostile  bool
	flapping bool // nobody lives for much more than a second
	problem  error

	recovered  int // 1: the service had to recover, and has
	handedOver int // connections

	greeting   map[uint64]bool // revisions whose program says hello
	tasks      map[WorkerID]*task
	dead       []WorkerID // who may still be heard of
	revision   uint64
	lastCaller Caller
	diedAt     Time // of the last exit that was told
	twin       *Machine
	twinSteps  int // for so many steps more it must do the same
}

// asksMax is the most time that a process asks for at once.
const asksMax = 4 * time.Second

// fateMax is how far ahead it is decided what becomes of a process.
const fateMax = 20 * time.Second

// task is a process. The name keeps it apart from the witness's books.
type task struct {
	id           WorkerID
	ready        bool // has said so
	served       bool
	told         bool // to drain
	killed       bool
	hung         Time // since when its loop stands still; 0: it turns
	heartless    bool // some foreign programs
	rare         bool // its heart is a watchdog
	stubborn     bool // ignores drain and SIGABRT
	dies         time.Duration
	kills        int
	neverReady   bool
	talksAtDeath bool // says ready after SIGKILL
	own          bool // speaks the master's protocol, and watches others
	greets       bool // is own as soon as it has said hello
	silent       bool // says neither Listening nor Watched

	conns  int     // connections that it holds
	heirs  []*task // whom it was told to give them to
	toldAt Time    // when it was told to drain
	spoilt bool    // something went wrong with its hand-over
}

// plan is something that will happen.
type plan struct {
	at    Time
	order int // of making, for those at one time
	do    func()
}

type plans []plan

func (p plans) Len() int { return len(p) }
func (p plans) Less(i, j int) bool {
	return p[i].at < p[j].at || p[i].at == p[j].at && p[i].order < p[j].order
}
func (p plans) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *plans) Push(x any)   { *p = append(*p, x.(plan)) }
func (p *plans) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

func newKernel(seed uint64) *kernel {
	k := &kernel{
		random: rand.New(rand.NewPCG(seed, 0)), now: epoch, hostile: true,
		witness: newWitness(), tasks: map[WorkerID]*task{}, greeting: map[uint64]bool{}, revision: 1,
	}
	k.trail = trail{target: k.newTarget(), seed: seed}
	m, err := New(Config{Target: k.trail.target, Seed: seed})
	if err != nil {
		panic(err) // newTarget makes valid ones
	}
	k.m = m
	return k
}

// newTarget is a configuration that somebody might write.
func (k *kernel) newTarget() Target {
	t := Target{
		Revision: k.revision, Slots: 1 + k.random.IntN(4), SurgePercent: 100, Rebalance: !k.one(4),
		StartTimeout: k.between(2*time.Second, 6*time.Second),
		DrainTimeout: k.between(time.Second, 8*time.Second),
		HangTimeout:  k.between(2*time.Second, 8*time.Second),
	}
	if k.random.IntN(2) == 0 {
		t.SurgeCount, t.SurgePercent = 1+k.random.IntN(2), 0
	}
	if k.random.IntN(3) == 0 {
		t.ReadyAfter = k.between(100*time.Millisecond, time.Second)
	}
	switch k.random.IntN(4) {
	case 0, 1:
		t.Own, t.Helpers = true, k.random.IntN(4)
	case 2:
		k.greeting[t.Revision], t.Helpers = true, k.random.IntN(4)
	}
	return t
}

func (k *kernel) between(least, most time.Duration) time.Duration {
	return least + time.Duration(k.random.Int64N(int64(most-least)+1))
}

// one tells whether something happens that happens once in n times, and only
// while the kernel is hostile.
func (k *kernel) one(n int) bool { return k.hostile && k.random.IntN(n) == 0 }

func (k *kernel) saw(f fault) { k.faults[f]++ }

func (k *kernel) after(d time.Duration, do func()) {
	k.planned++
	heap.Push(&k.plans, plan{at: k.now + d, order: k.planned, do: do})
}

// run lets time pass until then, or until the machine has ended or somebody
// objects.
func (k *kernel) run(until Time) {
	since, turns := k.now, 0
	for k.problem == nil && !k.witness.exited && k.turn(until) {
		if turns++; k.now != since {
			since, turns = k.now, 0
		}
		if turns > 10_000 {
			k.problem = fmt.Errorf("L1: at %v the deadlines do not come to an end", k.now-epoch)
		}
	}
}

// turn does what comes next, a plan or the machine's deadline; false when that
// lies beyond until.
func (k *kernel) turn(until Time) bool {
	at, due := k.m.NextDeadline()
	planned := len(k.plans) > 0 && (!due || k.plans[0].at <= at)
	if planned {
		at, due = k.plans[0].at, true
	}
	if !due || at > until {
		return false
	}
	k.now = max(k.now, at, k.resume)
	if planned {
		heap.Pop(&k.plans).(plan).do()
	} else {
		k.tell(Tick{})
	}
	return true
}

// tell takes an event through the machine and does what it says.
func (k *kernel) tell(ev Event) {
	if k.problem != nil || k.witness.exited {
		return
	}
	k.observe(ev)
	now := k.now
	if k.one(50) { // the machine must not mind
		k.saw(clockStandsStill)
		now -= k.between(0, time.Second)
	}
	k.trail.facts = append(k.trail.facts, fact{now, ev})
	if k.twin == nil && k.random.IntN(100) == 0 {
		k.reincarnate()
	}
	actions, err := k.witness.step(k.m, now, ev)
	k.problem = err
	k.compareTwin(now, ev, actions)
	for _, a := range actions {
		k.perform(a)
	}
}

// observe counts the faults that lie in the moment of an event.
func (k *kernel) observe(ev Event) {
	if k.m.Change != nil {
		if f, ok := duringRollout(ev); ok {
			k.saw(f)
		}
		if _, opened := ev.(SocketsOpened); k.m.Change.Opening && !opened {
			k.saw(socketsSlow)
		}
	}
	if _, loaded := ev.(ConfigLoaded); len(k.m.Loading) > 0 && !loaded {
		k.saw(configSlow)
	}
}

func (k *kernel) perform(a Action) {
	switch a := a.(type) {
	case Spawn:
		k.spawn(a.ID)
	case Serve:
		k.serve(k.tasks[a.ID])
	case HandOver:
		k.handOver(a)
	case Drain:
		k.drain(k.tasks[a.ID])
	case Abort:
		k.abort(k.tasks[a.ID])
	case Kill:
		k.kill(k.tasks[a.ID])
	case Sample: // as in the shell: AFTER what else was decided has been done
		k.after(0, k.sample)
	case LookAtQueues:
		k.after(0, k.look)
	case Watch:
		k.answer(k.tasks[a.ID], a.Slot)
	case Unwatch:
		k.answer(k.tasks[a.ID], a.Slot)
	case EmptySlot:
		k.empty(a)
	case LoadConfig:
		k.load(a.Caller)
	case OpenSockets:
		k.open(a)
	case Answer:
		switch {
		case a.Result == TimedOut:
			k.saw(clientTimesOut)
		case a.Account.Number > 0 && !a.Account.Final:
			k.saw(drainsBeyondAnswer)
		}
	case CloseAccount:
		if a.Account.LeftBehind > 0 {
			k.saw(leavesBehind)
		}
	case Note:
		switch {
		case a.Text == "master leaves workers behind":
			k.saw(outlivesStop)
		case a.To == Waiting && strings.HasPrefix(a.Reason, "replaced"):
			k.saw(diesTooOften)
		}
	}
}

// spawn makes a process, or does not, and decides what becomes of it.
func (k *kernel) spawn(id WorkerID) {
	k.tasks[id] = &task{id: id} // even a spawn that fails takes a moment
	if k.one(8) {
		f, reason := spawnEAGAIN, "fork: resource temporarily unavailable"
		switch k.random.IntN(3) {
		case 0:
			f, reason = spawnENOMEM, "fork: cannot allocate memory"
		case 1:
			f, reason = spawnImpossible, "exec: no such file"
		}
		k.after(k.between(0, 5*time.Millisecond), func() {
			delete(k.tasks, id)
			k.saw(f)
			k.tell(SpawnFailed{ID: id, Temporary: f != spawnImpossible, Reason: reason})
		})
		return
	}
	t := k.tasks[id]
	_, w := k.m.find(id)
	t.own, t.greets = k.m.targetFor(w).Own, k.greeting[w.Revision] && !k.one(8)
	t.heartless, t.stubborn = !t.own && !t.greets && k.random.IntN(8) == 0, k.one(6)
	t.silent = (t.own || t.greets) && k.one(15)
	t.talksAtDeath, t.rare = k.one(3), k.random.IntN(8) == 0
	k.after(0, func() { k.tell(WorkerSpawned{ID: id, PID: int(id.Incarnation)}) })
	k.life(t)
}

// life decides how a process gets to be ready, if it does.
func (k *kernel) life(t *task) {
	startUp := k.between(10*time.Millisecond, 400*time.Millisecond)
	if t.greets {
		if k.one(4) {
			startUp += k.between(0, 2*time.Second)
		}
		k.after(startUp/2, func() { k.greet(t) })
	}
	switch {
	case k.one(12):
		t.neverReady = true
	case k.one(12):
		k.after(startUp, func() { k.exit(t, "exit code 1") })
	case k.one(40):
		k.after(startUp, func() { k.exit(t, "exit code 0") })
	default:
		k.after(startUp, func() { k.sayReady(t) })
	}
	if k.one(12) {
		k.after(startUp/2, func() { k.speak(t) })
	}
	if k.one(12) {
		k.after(startUp/2, func() { k.askForTime(t, k.one(2)) })
	}
	if k.one(40) { // whatever it is doing then
		k.after(k.between(0, 5*time.Second), func() { k.misbehave(t) })
	}
}

// speak makes a worker one whose word is waited for.
func (k *kernel) speak(t *task) {
	if !k.alive(t) {
		return
	}
	if _, w := k.m.find(t.id); t.neverReady && w != nil && w.ReadyDue > 0 {
		k.saw(speaksLate)
	}
	k.tell(WorkerSpoke{ID: t.id})
}

// askForTime asks for more time, once, or again and again.
func (k *kernel) askForTime(t *task, again bool) {
	if !k.alive(t) || !k.hostile {
		return
	}
	wanted := asksMax
	if !again {
		wanted = k.between(0, asksMax)
	}
	if _, w := k.m.find(t.id); w != nil && (w.State == Starting || w.State == Draining) {
		limit := map[State]time.Duration{Starting: k.m.targetFor(w).StartTimeout, Draining: k.m.targetFor(w).DrainTimeout}[w.State]
		if k.now+wanted > w.Since+extensionsMax*limit {
			k.saw(asksForEver)
		} else if k.now+wanted > w.Deadline {
			k.saw(asksForTime)
		}
	}
	k.tell(WorkerAskedForTime{ID: t.id, For: wanted})
	if again {
		k.after(asksMax/4, func() { k.askForTime(t, true) })
	}
}

func (k *kernel) giveUp(t *task) {
	if k.alive(t) && !t.told && !t.killed {
		k.saw(givesUp)
		k.tell(WorkerGaveUp{ID: t.id, Reason: "WATCHDOG=trigger"})
	}
}

func (k *kernel) alive(t *task) bool { return t != nil && k.tasks[t.id] == t }

func (k *kernel) sayReady(t *task) {
	if !k.alive(t) || t.killed && !t.talksAtDeath {
		return
	}
	if t.killed {
		k.saw(readyAfterKill)
	}
	t.ready = true
	word := WorkerSaidReady{ID: t.id}
	if _, w := k.m.find(t.id); w != nil && t.own {
		word.Protocol = k.protocolOf(w.Revision)
	}
	k.tell(word)
	if t.served { // it had counted as ready
		k.listen(t)
	}
	if k.one(10) && k.alive(t) {
		k.saw(readyTwice)
		k.tell(WorkerSaidReady{ID: t.id})
	}
	if k.one(30) {
		k.after(k.between(0, time.Second), func() { k.exit(t, "killed by SIGSEGV") })
	}
}

// serve decides how long a process serves.
func (k *kernel) serve(t *task) {
	t.served = true
	k.connect(t)
	k.listen(t)
	if !t.ready {
		k.saw(livesUnready)
	}
	if _, w := k.m.find(t.id); k.greeting[w.Revision] && !t.greets && k.m.anyHears() {
		k.saw(keepsSilent)
	}
	switch {
	case k.flapping && k.hostile:
		k.after(k.between(readyProof, readyProof+readyProof/10), func() { k.exit(t, "killed by SIGSEGV") })
	case k.one(6):
		k.after(k.between(0, 900*time.Millisecond), func() { k.exit(t, "killed by SIGSEGV") })
	case k.one(6):
		k.after(k.between(time.Second, fateMax), func() { k.exit(t, "killed by SIGSEGV") })
	case k.one(8):
		k.after(k.between(0, 10*time.Second), func() { k.hang(t) })
	case k.one(8):
		k.after(k.between(0, 10*time.Second), func() { k.leave(t) })
	case k.one(8):
		k.after(k.between(0, 10*time.Second), func() { k.giveUp(t) })
	case k.one(8):
		k.after(k.between(0, 10*time.Second), func() { k.misbehave(t) })
	case k.one(8):
		k.after(k.between(0, 10*time.Second), func() { k.tell(RecycleRequested{ID: t.id, Reason: "it is old"}) })
	}
}

func (k *kernel) leave(t *task) {
	if k.alive(t) && !t.told && !t.killed {
		k.saw(leavesByItself)
		k.tell(WorkerSaidLeaving{ID: t.id, Reason: "SIGTERM"})
	}
}

func (k *kernel) misbehave(t *task) {
	if k.alive(t) {
		k.saw(breaksProtocol)
		t.spoilt = true
		k.tell(WorkerMisbehaved{ID: t.id, Reason: "unknown kind 99"})
	}
}

// exit ends a process. What it said before may still be under way, and what
// the kernel says of it may be said again.
func (k *kernel) exit(t *task, reason string) {
	if !k.alive(t) {
		return
	}
	k.childChanged()
	k.observeExit(t, reason)
	delete(k.tasks, t.id)
	k.dead = append(k.dead, t.id)
	k.diedAt = k.now
	k.tell(WorkerExited{ID: t.id, Clean: reason == "exit code 0", Reason: reason, Tally: k.tally(t)})
	if k.one(10) {
		k.after(k.between(0, 3*time.Second), func() {
			k.saw(exitOfReplaced)
			k.tell(WorkerExited{ID: t.id, Reason: reason, Tally: k.tally(t)})
		})
	}
	if k.one(10) {
		k.after(k.between(0, 3*time.Second), func() {
			k.saw(messageOfReplaced)
			k.tell([]Event{
				WorkerSaidReady{ID: t.id}, WorkerSaidLeft{ID: t.id}, WorkerSpawned{ID: t.id, PID: 1},
				WorkerSaidLeaving{ID: t.id, Reason: "SIGTERM"}, WorkerMisbehaved{ID: t.id, Reason: "garbage"},
			}[k.random.IntN(5)])
		})
	}
}

// tally is what a process has counted: nothing when it has not served or does not count.
func (k *kernel) tally(t *task) Tally {
	if !t.own && !t.greets {
		return Tally{}
	}
	tally := Tally{Known: true}
	if t.served {
		n := t.id.Incarnation
		tally.Given, tally.Finished, tally.Cut = n%100, n%7, n%2
	}
	return tally
}

func (k *kernel) observeExit(t *task, reason string) {
	if k.diedAt == k.now {
		k.saw(exitsCoalesced)
	}
	_, w := k.m.find(t.id)
	switch {
	case w == nil:
	case w.State == Starting && reason == "exit code 0":
		k.saw(daemonises)
	case w.State == Starting:
		k.saw(exitsBeforeReady)
	case w.State == Standby:
		k.saw(diesInStandby)
	case w.State == Ready && !k.m.proven(w):
		k.saw(crashesEarly)
	case w.State == Ready:
		k.saw(crashes)
	}
}

// drain lets a process finish, unless it is stubborn or hung.
func (k *kernel) drain(t *task) {
	t.told, t.toldAt = true, k.now
	if t.stubborn || t.hung > 0 || t.neverReady && k.random.IntN(2) == 0 {
		return
	}
	k.give(t)
	k.after(k.between(0, 2*time.Second), func() { k.part(t) })
}

func (k *kernel) abort(t *task) {
	switch {
	case t.neverReady:
		k.saw(neverReady)
	case t.hung > 0:
		k.saw(heartbeatStops)
	}
	if !t.stubborn {
		k.after(k.between(0, time.Second), func() { k.exit(t, "killed by SIGABRT") })
	}
}

// kill ends a process soon, later, or not before the world is calm.
func (k *kernel) kill(t *task) {
	_, w := k.m.find(t.id)
	switch {
	case t.kills > 0:
		k.saw(slowToDie)
	case t.told && t.stubborn:
		k.saw(ignoresDrain)
	case t.stubborn && w != nil:
		k.saw(ignoresAbort)
	}
	if t.kills++; t.kills == 1 {
		t.dies = k.between(0, 20*time.Millisecond)
		if k.one(8) {
			t.dies = k.between(time.Second, fateMax)
		}
	} else if k.hostile {
		return
	} else {
		t.dies = 0
	}
	t.killed = true
	if !t.ready && t.talksAtDeath {
		k.after(t.dies/2, func() { k.sayReady(t) })
	}
	k.after(t.dies, func() { k.exit(t, "killed by SIGKILL") })
}

// sample reads every heart. One beats about once a second of the time in which
// the machine ran.
func (k *kernel) sample() {
	var ev HeartbeatsSampled
	for n, s := range k.m.Slots {
		for _, w := range s.workers() {
			t := k.tasks[w.ID]
			if t == nil || t.heartless || !t.served {
				continue
			}
			at := k.now
			if t.hung > 0 {
				at = t.hung
			}
			beat := int64(at - k.stalled + time.Duration(n)*100*time.Millisecond)
			ev.Beats = append(ev.Beats, Beat{ID: w.ID, Value: beat / int64(950*time.Millisecond), Rare: t.rare, Connections: k.count(t)})
		}
	}
	if k.one(100) && len(k.dead) > 0 {
		ev.Beats = append(ev.Beats, Beat{ID: k.dead[k.random.IntN(len(k.dead))], Value: 1})
	}
	k.tell(ev)
}

func (k *kernel) load(c Caller) {
	answer := func() {
		if k.one(8) {
			k.saw(configBroken)
			k.tell(ConfigRefused{Caller: c, Reason: "line 3: unknown key"})
			return
		}
		k.revision++
		k.tell(ConfigLoaded{Caller: c, Target: k.newTarget()})
	}
	if k.one(3) {
		k.after(k.between(0, 2*time.Second), answer)
		return
	}
	k.after(0, answer)
}

func (k *kernel) open(a OpenSockets) {
	answer := func() {
		if k.one(12) {
			k.saw(socketsFail)
			k.tell(SocketsFailed{Generation: a.Generation, Reason: "is taken by nginx"})
			return
		}
		k.tell(SocketsOpened{Generation: a.Generation})
	}
	if k.one(4) {
		k.after(k.between(0, 2*time.Second), answer)
		return
	}
	k.after(0, answer)
}
