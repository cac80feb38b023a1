package supervise

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The language in which the tests speak to the machine: one line for one
// event, the same in the stories of testdata and in what a failed simulation
// prints. Callers are written #1, workers slot/incarnation; a time counts from
// the epoch below. eventOf and textOf are each other's inverse.

// epoch is the time at which stories and simulations begin. It is not zero,
// because a monotonic clock never reads that.
const epoch = Time(time.Hour)

// verb is one kind of line.
type verb struct {
	name  string
	usage string
	parse func(args []string) Event
}

var verbs = []verb{
	{"started", "the master has started", func([]string) Event { return Started{} }},
	{"tick", "time has passed, and nothing else has happened", func([]string) Event { return Tick{} }},
	{"signal", "NAME [here|gone]: a signal; with the terminal there, or closed since", func(a []string) Event {
		return SignalReceived{Signal: wordIn(signalNames, a[0]), Terminal: wordIn(terminalNames, rest(a, 1))}
	}},
	{"loaded", "#CALLER key=value...: the configuration is valid; keys as for machine", func(a []string) Event {
		return ConfigLoaded{Caller: callerOf(a[0]), Target: targetOf(defaultTarget, a[1:])}
	}},
	{"refused", "#CALLER REASON: the configuration is not valid", func(a []string) Event {
		return ConfigRefused{Caller: callerOf(a[0]), Reason: rest(a, 1)}
	}},
	{"opened", "GENERATION: the sockets are open", func(a []string) Event {
		return SocketsOpened{Generation: uint64(number(a[0]))}
	}},
	{"open-failed", "GENERATION REASON: no new socket is open", func(a []string) Event {
		return SocketsFailed{Generation: uint64(number(a[0])), Reason: rest(a, 1)}
	}},
	{"reload", "#CALLER [TIMEOUT]: an operator asks for a new generation", func(a []string) Event {
		return ReloadRequested{Caller: callerOf(a[0]), Timeout: durationOf(rest(a, 1))}
	}},
	{"scale", "#CALLER 4|+1|-1: an operator asks for so many slots", func(a []string) Event {
		if n := number(a[1]); a[1][0] != '+' && a[1][0] != '-' {
			return ScaleRequested{Caller: callerOf(a[0]), Workers: n}
		}
		return ScaleRequested{Caller: callerOf(a[0]), Relative: true, Delta: number(a[1])}
	}},
	{"recycle", "WORKER REASON: the worker is to be replaced", func(a []string) Event {
		return RecycleRequested{ID: idOf(a[0]), Reason: rest(a, 1)}
	}},
	{"upgrade", "#CALLER: an operator asks for a new master binary", func(a []string) Event {
		return UpgradeRequested{Caller: callerOf(a[0])}
	}},
	{"reopen", "#CALLER: an operator asks to reopen the logs", func(a []string) Event {
		return ReopenRequested{Caller: callerOf(a[0])}
	}},
	{"stop", "#CALLER [now]: an operator asks to end", func(a []string) Event {
		return StopRequested{Caller: callerOf(a[0]), Now: rest(a, 1) == "now"}
	}},
	{"left-caller", "#CALLER: the operator does not wait any more", func(a []string) Event {
		return CallerLeft{Caller: callerOf(a[0])}
	}},
	{"spawned", "WORKER PID: the process exists", func(a []string) Event {
		return WorkerSpawned{ID: idOf(a[0]), PID: number(a[1])}
	}},
	{"spawn-failed", "WORKER temporary|final REASON: there is no process", func(a []string) Event {
		return SpawnFailed{ID: idOf(a[0]), Temporary: a[1] == "temporary", Reason: rest(a, 2)}
	}},
	{"ready", "WORKER [PROTOCOL]: it could accept, and others may go on with its connections", func(a []string) Event {
		return WorkerSaidReady{ID: idOf(a[0]), Protocol: rest(a, 1)}
	}},
	{"leaving", "WORKER REASON: it drains of its own accord", func(a []string) Event {
		return WorkerSaidLeaving{ID: idOf(a[0]), Reason: rest(a, 1)}
	}},
	{"left", "WORKER: it has left its listeners", func(a []string) Event { return WorkerSaidLeft{ID: idOf(a[0])} }},
	{"misbehaved", "WORKER REASON: it broke the protocol", func(a []string) Event {
		return WorkerMisbehaved{ID: idOf(a[0]), Reason: rest(a, 1)}
	}},
	{"exited", "WORKER REASON [(N given, N finished, N cut)] [| WORDS]: the process is gone; its tally, if it has one; its last words", func(a []string) Event {
		reason, words, _ := strings.Cut(rest(a, 1), " | ")
		reason, tally, _ := strings.Cut(reason, " (")
		return WorkerExited{ID: idOf(a[0]), Clean: reason == "exit code 0", Reason: reason, Words: words, Tally: tallyOf(tally)}
	}},
	{"spoke", "WORKER: it will say when it is ready", func(a []string) Event { return WorkerSpoke{ID: idOf(a[0])} }},
	{"hello", "WORKER: it speaks the master's own protocol", func(a []string) Event { return WorkerSaidHello{ID: idOf(a[0])} }},
	{"asked", "WORKER DURATION: it wants so much time from now", func(a []string) Event {
		return WorkerAskedForTime{ID: idOf(a[0]), For: durationOf(a[1])}
	}},
	{"gave-up", "WORKER REASON: it calls itself broken", func(a []string) Event {
		return WorkerGaveUp{ID: idOf(a[0]), Reason: rest(a, 1)}
	}},
	{"listening", "WORKER: its own sockets are in its loop", func(a []string) Event { return WorkerSaidListening{ID: idOf(a[0])} }},
	{"watched", "WORKER SLOT: it watches the slot, or has let go of it", func(a []string) Event {
		return WorkerSaidWatched{ID: idOf(a[0]), Slot: number(a[1])}
	}},
	{"looked", "NUMBER... [moved]: so many connections wait in the slots", func(a []string) Event {
		var ev QueuesSampled
		for _, word := range a {
			if ev.Moved = word == "moved"; !ev.Moved {
				ev.Waiting = append(ev.Waiting, number(word))
			}
		}
		return ev
	}},
	{"mended", "SLOT: its sockets had been shut down, and listen again", func(a []string) Event { return SocketsMended{Slot: number(a[0])} }},
	{"emptied", "SLOT TIME LEFT: so many wait there still; the time is that of empty slot", func(a []string) Event {
		return SlotEmptied{Slot: number(a[0]), Deadline: epoch + durationOf(a[1]), Left: number(a[2])}
	}},
	{"sampled", "WORKER=VALUE[:CONNECTIONS][,rare]...: the heartbeats", func(a []string) Event {
		var ev HeartbeatsSampled
		for _, pair := range a {
			id, value, _ := strings.Cut(pair, "=")
			value, rare := strings.CutSuffix(value, ",rare")
			value, holds, counts := strings.Cut(value, ":")
			b := Beat{ID: idOf(id), Value: int64(number(value)), Rare: rare}
			if counts {
				b.Connections = number(holds)
			}
			ev.Beats = append(ev.Beats, b)
		}
		return ev
	}},
}

// textOf writes an event as the line that eventOf reads.
func textOf(ev Event) string {
	switch ev := ev.(type) {
	case Started:
		return "started"
	case Tick:
		return "tick"
	case SignalReceived:
		return line("signal", signalNames[ev.Signal], terminalNames[ev.Terminal])
	case ConfigLoaded:
		return line("loaded", hash(ev.Caller), targetText(ev.Target))
	case ConfigRefused:
		return line("refused", hash(ev.Caller), ev.Reason)
	case SocketsOpened:
		return line("opened", ev.Generation)
	case SocketsFailed:
		return line("open-failed", ev.Generation, ev.Reason)
	case ReloadRequested:
		return line("reload", hash(ev.Caller), timeoutText(ev.Timeout))
	case ScaleRequested:
		if ev.Relative {
			return line("scale", hash(ev.Caller), fmt.Sprintf("%+d", ev.Delta))
		}
		return line("scale", hash(ev.Caller), ev.Workers)
	case UpgradeRequested:
		return line("upgrade", hash(ev.Caller))
	case ReopenRequested:
		return line("reopen", hash(ev.Caller))
	case StopRequested:
		return line("stop", hash(ev.Caller), map[bool]string{true: "now"}[ev.Now])
	case CallerLeft:
		return line("left-caller", hash(ev.Caller))
	case QueuesSampled:
		words := []any{"looked"}
		for _, n := range ev.Waiting {
			words = append(words, n)
		}
		return line(append(words, map[bool]string{true: "moved"}[ev.Moved])...)
	case SocketsMended:
		return line("mended", ev.Slot)
	case SlotEmptied:
		return line("emptied", ev.Slot, ev.Deadline-epoch, ev.Left)
	}
	return workerEventText(ev)
}

func workerEventText(ev Event) string {
	switch ev := ev.(type) {
	case RecycleRequested:
		return line("recycle", ev.ID, ev.Reason)
	case WorkerSpawned:
		return line("spawned", ev.ID, ev.PID)
	case SpawnFailed:
		return line("spawn-failed", ev.ID, map[bool]string{true: "temporary", false: "final"}[ev.Temporary], ev.Reason)
	case WorkerSaidReady:
		return line("ready", ev.ID, ev.Protocol)
	case WorkerSaidLeaving:
		return line("leaving", ev.ID, ev.Reason)
	case WorkerSaidLeft:
		return line("left", ev.ID)
	case WorkerMisbehaved:
		return line("misbehaved", ev.ID, ev.Reason)
	case WorkerSpoke:
		return line("spoke", ev.ID)
	case WorkerSaidHello:
		return line("hello", ev.ID)
	case WorkerAskedForTime:
		return line("asked", ev.ID, timeoutText(ev.For))
	case WorkerGaveUp:
		return line("gave-up", ev.ID, ev.Reason)
	case WorkerSaidListening:
		return line("listening", ev.ID)
	case WorkerSaidWatched:
		return line("watched", ev.ID, ev.Slot)
	case WorkerExited:
		if ev.Words != "" {
			return line("exited", ev.ID, ev.Reason, tallyText(ev.Tally), "|", ev.Words)
		}
		return line("exited", ev.ID, ev.Reason, tallyText(ev.Tally))
	case HeartbeatsSampled:
		words := []any{"sampled"}
		for _, b := range ev.Beats {
			holds := ""
			if b.Connections != 0 {
				holds = fmt.Sprintf(":%d", b.Connections)
			}
			words = append(words, fmt.Sprintf("%v=%d%s%s", name(b.ID), b.Value, holds, map[bool]string{true: ",rare"}[b.Rare]))
		}
		return line(words...)
	}
	panic(fmt.Sprintf("no words for %T", ev))
}

// eventOf reads an event; ok is false when the line's first word is no verb.
func eventOf(text string) (ev Event, ok bool) {
	words := strings.Fields(text)
	for _, v := range verbs {
		if v.name == words[0] {
			return v.parse(words[1:]), true
		}
	}
	return nil, false
}

// actionText writes an action in words. Notes of level Debug have none.
func actionText(a Action) string {
	switch a := a.(type) {
	case Spawn:
		return fmt.Sprintf("spawn %s of generation %d, revision %d", name(a.ID), a.Generation, a.Revision)
	case Serve:
		return "serve " + name(a.ID)
	case Drain:
		return fmt.Sprintf("drain %s by %v", name(a.ID), a.Deadline-epoch)
	case HandOver:
		return handOverText(a)
	case Abort:
		return "abort " + name(a.ID)
	case Kill:
		return "kill " + name(a.ID)
	case Sample:
		return "sample"
	case LoadConfig:
		if a.Caller == 0 {
			return "load config"
		}
		return "load config for " + hash(a.Caller)
	case OpenSockets:
		return fmt.Sprintf("open sockets of %s for generation %d, revision %d", slotCount(a.Slots), a.Generation, a.Revision)
	case Watch:
		return fmt.Sprintf("watch slot %d by %s", a.Slot, name(a.ID))
	case Unwatch:
		return fmt.Sprintf("unwatch slot %d by %s", a.Slot, name(a.ID))
	case RingBell:
		return "ring bell"
	case LookAtQueues:
		return "look at queues"
	case EmptySlot:
		return fmt.Sprintf("empty slot %d by %v", a.Slot, a.Deadline-epoch)
	case CloseSlot:
		return fmt.Sprintf("close slot %d", a.Slot)
	case AbandonSockets:
		return fmt.Sprintf("abandon sockets of revision %d", a.Revision)
	case StopListening:
		return "stop listening"
	case ForgetRevision:
		return fmt.Sprintf("forget revision %d", a.Revision)
	case ReopenLogs:
		return "reopen logs"
	case Answer:
		if a.Account.Number > 0 && !a.Account.Final {
			return line("answer", hash(a.Caller), string(a.Result)+colon(a.Reason)+",", accountText(a.Account))
		}
		return line("answer", hash(a.Caller), string(a.Result)+colon(a.Reason))
	case OpenAccount:
		return "" // its end says that it was
	case CloseAccount:
		return fmt.Sprintf("close account %d of %s %s after %v: %s", a.Account.Number, a.Account.Cause, a.Account.Result,
			a.Account.Took.Round(time.Millisecond), accountText(a.Account))
	case Note:
		return noteText(a)
	case Announce:
		return "state is " + string(a.State)
	case Exit:
		return fmt.Sprintf("exit %d", a.Code)
	}
	panic(fmt.Sprintf("no words for %T", a))
}

func noteText(n Note) string {
	if n.Level == Debug {
		return ""
	}
	subject := ""
	if n.ID != (WorkerID{}) {
		subject = name(n.ID) + " "
	}
	text := fmt.Sprintf("%s: %s%s%s", levelNames[n.Level], subject, n.Text, colon(n.Reason))
	if n.Words != "" {
		text += " | " + n.Words
	}
	return text
}

var (
	levelNames    = map[Level]string{Info: "info", Warn: "warn", Error: "error", Debug: "debug"}
	terminalNames = map[Terminal]string{TerminalNone: "", TerminalHere: "here", TerminalGone: "gone"}
	signalNames   = map[Signal]string{
		SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGTERM: "TERM", SIGTTIN: "TTIN",
		SIGTTOU: "TTOU", SIGUSR1: "USR1", SIGUSR2: "USR2", SIGWINCH: "WINCH", SIGCHLD: "CHLD",
	}
)

// wordIn returns the value that has the name. What is wrong with a script ends
// the test that reads it: the parsers panic, and nobody else calls them.
func wordIn[T comparable](names map[T]string, word string) T {
	for value, n := range names {
		if n == word {
			return value
		}
	}
	panic(fmt.Sprintf("%q is none of %v", word, names))
}

func line(words ...any) string {
	var all []string
	for _, w := range words {
		if id, ok := w.(WorkerID); ok {
			w = name(id)
		}
		if s := strings.ReplaceAll(fmt.Sprint(w), "\n", " "); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, " ")
}

func handOverText(a HandOver) string {
	text := fmt.Sprintf("hand over from %s to %s", name(a.From), name(a.To))
	if a.Count > 0 {
		text += fmt.Sprintf(", %d at most", a.Count)
	}
	return text
}

func name(id WorkerID) string { return fmt.Sprintf("%d/%d", id.Slot, id.Incarnation) }

// accountText writes what an account has come to, without what is zero.
func accountText(a Account) string {
	words := []string{fmt.Sprintf("%d gone", a.Gone)}
	for _, n := range []struct {
		count uint64
		what  string
	}{
		{uint64(a.Draining), "drain"}, {uint64(a.Silent), "silent"}, {a.Given, "given"}, {a.Finished, "finished"},
		{a.Cut, "cut"}, {a.LeftBehind, "left behind"},
	} {
		if n.count > 0 {
			words = append(words, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	return strings.Join(words, ", ")
}

// tallyText writes what a worker has counted; nothing when it tells nothing.
func tallyText(t Tally) string {
	if !t.Known {
		return ""
	}
	return fmt.Sprintf("(%d given, %d finished, %d cut)", t.Given, t.Finished, t.Cut)
}

func tallyOf(text string) (t Tally) {
	if text == "" {
		return t
	}
	if _, err := fmt.Sscanf(text, "%d given, %d finished, %d cut)", &t.Given, &t.Finished, &t.Cut); err != nil {
		panic(err)
	}
	t.Known = true
	return t
}

func hash(c Caller) string { return fmt.Sprintf("#%d", c) }

func colon(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + strings.ReplaceAll(reason, "\n", " | ")
}

func timeoutText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func rest(args []string, from int) string { return strings.Join(args[min(from, len(args)):], " ") }

func itoa(n int) string { return strconv.Itoa(n) }

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func callerOf(s string) Caller { return Caller(number(strings.TrimPrefix(s, "#"))) }

func idOf(s string) WorkerID {
	slot, incarnation, _ := strings.Cut(s, "/")
	return WorkerID{Slot: number(slot), Incarnation: uint64(number(incarnation))}
}

func durationOf(s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

// defaultTarget is what a story's configuration says unless it says otherwise.
var defaultTarget = Target{
	Revision: 1, Slots: 2, SurgePercent: 100,
	StartTimeout: 30 * time.Second, DrainTimeout: 30 * time.Second, HangTimeout: 30 * time.Second,
}

// targetOf changes a target by words like slots=4 and surge=50%.
func targetOf(t Target, words []string) Target {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "revision":
			t.Revision = uint64(number(value))
		case "slots":
			t.Slots = number(value)
		case "surge":
			t.SurgeCount, t.SurgePercent = 0, 0
			if percent, ok := strings.CutSuffix(value, "%"); ok {
				t.SurgePercent = number(percent)
			} else {
				t.SurgeCount = number(value)
			}
		case "start":
			t.StartTimeout = durationOf(value)
		case "drain":
			t.DrainTimeout = durationOf(value)
		case "hang":
			t.HangTimeout = durationOf(value)
		case "ready":
			t.ReadyAfter = durationOf(value)
		case "own":
			t.Own = value == "yes"
		case "helpers":
			t.Helpers = number(value)
		case "rebalance":
			t.Rebalance = value == "yes"
		default:
			panic(fmt.Sprintf("a target has no %q", key))
		}
	}
	return t
}

func targetText(t Target) string {
	surge := fmt.Sprintf("%d%%", t.SurgePercent)
	if t.SurgeCount > 0 {
		surge = itoa(t.SurgeCount)
	}
	text := fmt.Sprintf("revision=%d slots=%d surge=%s start=%v drain=%v hang=%v",
		t.Revision, t.Slots, surge, t.StartTimeout, t.DrainTimeout, t.HangTimeout)
	if t.ReadyAfter > 0 {
		text += fmt.Sprintf(" ready=%v", t.ReadyAfter)
	}
	if t.Own {
		text += " own=yes"
	}
	if t.Helpers > 0 {
		text += fmt.Sprintf(" helpers=%d", t.Helpers)
	}
	if t.Rebalance {
		text += " rebalance=yes"
	}
	return text
}

// usage lists the language for whoever mistypes it.
func usage(more []command) string {
	var lines []string
	for _, v := range verbs {
		lines = append(lines, fmt.Sprintf("%-14s %s", v.name, v.usage))
	}
	for _, c := range more {
		lines = append(lines, fmt.Sprintf("%-14s %s", c.name, c.usage))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
