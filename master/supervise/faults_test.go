package supervise

// fault is something that goes wrong, or comes at a bad moment, in the
// simulation. Each is counted when it has had its effect, not when it was
// planned, and a run in which one never occurred fails.
type fault int

const (
	spawnEAGAIN fault = iota
	spawnENOMEM
	spawnImpossible
	exitsBeforeReady
	daemonises
	neverReady
	readyAfterKill
	readyTwice
	exitOfReplaced
	messageOfReplaced
	crashes
	crashesEarly
	diesTooOften
	diesInStandby
	leavesByItself
	breaksProtocol
	ignoresDrain
	ignoresAbort
	slowToDie
	outlivesStop
	speaksLate
	asksForTime
	asksForEver
	livesUnready
	givesUp
	heartbeatStops
	heartbeatsLate
	exitsCoalesced
	signalStorm
	socketsFail
	socketsSlow
	configBroken
	configSlow
	clientVanishes
	clientTimesOut
	clockStandsStill
	reloadDuringRollout
	scaleDuringRollout
	upgradeDuringRollout
	winchDuringRollout
	recycleDuringRollout
	stopDuringStart
	stopDuringService
	stopDuringReload
	stopDuringScale
	stopWhileDrained
	stopDuringResume
	stopAtOnce
	listensLate
	listensWhileLeaving
	listensAgain
	greetsLate
	keepsSilent
	neverWatches
	watchesTwice
	watchesWhatHasClosed
	ownerReplacedMeanwhile
	queueStands
	socketsMended
	emptiedInVain
	emptiedAndWantedAgain
	pairFails
	heirGone
	givesToTheNext
	nobodyTakes
	evensOut
	countsNonsense
	drainsBeyondAnswer
	leavesBehind
	faultsMax
)

var faultNames = [faultsMax]string{
	spawnEAGAIN:            "spawn fails, EAGAIN",
	spawnENOMEM:            "spawn fails, ENOMEM",
	spawnImpossible:        "spawn fails for good",
	exitsBeforeReady:       "exits before ready",
	daemonises:             "exits with 0 before ready",
	neverReady:             "never ready",
	readyAfterKill:         "ready after SIGKILL was sent",
	readyTwice:             "ready twice",
	exitOfReplaced:         "exit of a replaced incarnation",
	messageOfReplaced:      "message of a replaced incarnation",
	crashes:                "crashes",
	crashesEarly:           "crashes within a second of being ready",
	diesTooOften:           "dies more often than respawnMax allows",
	diesInStandby:          "dies in standby",
	leavesByItself:         "leaves of its own accord",
	breaksProtocol:         "breaks the protocol",
	ignoresDrain:           "ignores drain",
	ignoresAbort:           "ignores SIGABRT",
	slowToDie:              "slow to die after SIGKILL",
	outlivesStop:           "still there when the master leaves",
	speaksLate:             "a worker that need not speak does, and is never ready",
	asksForTime:            "asks for more time",
	asksForEver:            "asks for more time than it may have",
	livesUnready:           "counts as ready and is not",
	givesUp:                "calls itself broken",
	heartbeatStops:         "heartbeat stops",
	heartbeatsLate:         "heartbeats late because the master was stopped",
	exitsCoalesced:         "exits coalesced into one SIGCHLD",
	signalStorm:            "signal storm",
	socketsFail:            "sockets cannot be opened",
	socketsSlow:            "something happens while sockets are opened",
	configBroken:           "configuration broken",
	configSlow:             "something happens while the configuration is read",
	clientVanishes:         "control client vanishes mid-request",
	clientTimesOut:         "control client's time runs out",
	clockStandsStill:       "two events at one time, or the clock steps back",
	reloadDuringRollout:    "reload during rollout",
	scaleDuringRollout:     "scale during rollout",
	upgradeDuringRollout:   "upgrade during rollout",
	winchDuringRollout:     "WINCH during rollout",
	recycleDuringRollout:   "recycle during rollout",
	stopDuringStart:        "stop during the start",
	stopDuringService:      "stop in service",
	stopDuringReload:       "stop during a reload",
	stopDuringScale:        "stop during a scale",
	stopWhileDrained:       "stop while drained",
	stopDuringResume:       "stop during a resume",
	stopAtOnce:             "stop at once",
	listensLate:            "listens so late that siblings have not waited",
	listensWhileLeaving:    "listens when it was told to leave",
	listensAgain:           "listens again, behind the siblings who watch it",
	greetsLate:             "says hello after it had counted as ready",
	keepsSilent:            "does not say hello, as its siblings do",
	neverWatches:           "does not answer when asked to watch",
	watchesTwice:           "answers twice when asked to watch",
	watchesWhatHasClosed:   "watches a slot that has closed meanwhile",
	ownerReplacedMeanwhile: "watches a slot whose owner was replaced meanwhile",
	queueStands:            "a queue is not empty in two looks",
	socketsMended:          "sockets that siblings watch are shut down and mended",
	emptiedInVain:          "nobody empties a retiring slot",
	emptiedAndWantedAgain:  "a slot is emptied after it was wanted again",
	pairFails:              "the pair for a hand-over cannot be made",
	heirGone:               "an heir dies or leaves in the middle of a hand-over",
	givesToTheNext:         "gives to another heir after that",
	nobodyTakes:            "closes connections that nobody can take",
	evensOut:               "holds too many connections, and hands some over",
	countsNonsense:         "counts an impossible number of connections",
	drainsBeyondAnswer:     "still drains when who has asked for it is answered",
	leavesBehind:           "a slot closes with connections in its queue",
}

func (f fault) String() string { return faultNames[f] }

// duringRollout says which fault a request is when a change is under way.
func duringRollout(ev Event) (fault, bool) {
	switch ev := ev.(type) {
	case ReloadRequested:
		return reloadDuringRollout, true
	case ScaleRequested:
		return scaleDuringRollout, true
	case UpgradeRequested:
		return upgradeDuringRollout, true
	case RecycleRequested:
		return recycleDuringRollout, true
	case SignalReceived:
		f, ok := map[Signal]fault{
			SIGHUP: reloadDuringRollout, SIGTTIN: scaleDuringRollout, SIGTTOU: scaleDuringRollout,
			SIGUSR2: upgradeDuringRollout, SIGWINCH: winchDuringRollout,
		}[ev.Signal]
		return f, ok
	}
	return 0, false
}

// stopDuring says which fault a stop is in the state that it meets.
func stopDuring(m *Machine) fault {
	switch {
	case m.Change == nil && m.Phase == drained:
		return stopWhileDrained
	case m.Change == nil:
		return stopDuringService
	}
	return map[changeKind]fault{
		start: stopDuringStart, reload: stopDuringReload, scale: stopDuringScale, resume: stopDuringResume,
	}[m.Change.Kind]
}
