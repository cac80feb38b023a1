package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"prefork/bench/load"
)

// reopenedMax is how many kept connections a load may open beyond one for each client:
// a client whose connection was closed has noticed.
const reopenedMax = 6

// killPeriod is the time between two kills.
const killPeriod = 400 * time.Millisecond

// acceptedMax is how many connections one worker has accepted and not answered:
// those are in its hands when it stops, and nobody else can answer them.
const acceptedMax = 3

var reloadNew = event{
	name: "reload", title: "Reloads, a connection for each request", mode: load.NewConnection, rate: 2000,
	under: reloads, spread: bySlot,
	limits: limits{lost: func(int) int { return 0 }},
}

// calmKept is what reloadKept is compared with.
var calmKept = event{
	name: "calm-kept", title: fmt.Sprintf("Nothing happens, %d kept connections", keptConnections), mode: load.KeepAlive, rate: 3000,
	under: calm,
}

var reloadKept = event{
	name: "reload-kept", title: fmt.Sprintf("Reloads, %d kept connections", keptConnections), mode: load.KeepAlive, rate: 3000,
	under: reloads, limits: limits{lost: func(int) int { return 0 }, reopened: reopenedMax},
}

var shrinkKept = event{
	name: "shrink-kept", title: fmt.Sprintf("4 → 1 → 4 workers, %d kept connections", keptConnections), mode: load.KeepAlive, rate: 2000,
	under: shrinks, limits: limits{lost: func(int) int { return 0 }, reopened: reopenedMax},
}

func reloads(ctx context.Context, s server, size size) (int, error) {
	for range size.reloads {
		if err := s.Reload(ctx); err != nil {
			return 0, err
		}
		if err := pause(ctx, size.lead); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

var shrink = event{
	name: "shrink", title: "4 → 1 → 4 workers, again and again", mode: load.NewConnection, rate: 3000,
	under: shrinks, limits: limits{lost: func(int) int { return 0 }},
}

func shrinks(ctx context.Context, s server, size size) (int, error) {
	for range size.shrinks {
		for _, n := range []int{1, workers} {
			if err := s.Scale(ctx, n); err != nil {
				return 0, err
			}
			if err := pause(ctx, size.lead); err != nil {
				return 0, err
			}
		}
	}
	return 0, nil
}

var hang = event{
	name: "hang", title: "One of 4 workers is stopped (SIGSTOP)", mode: load.NewConnection, rate: 1000,
	under:  stop,
	limits: limits{lost: inHands, p99: 20 * time.Millisecond, p999: 100 * time.Millisecond},
}

func inHands(hurt int) int { return acceptedMax * hurt }

func stop(ctx context.Context, s server, size size) (int, error) {
	pids, err := s.Workers(ctx)
	if err != nil {
		return 0, err
	}
	if len(pids) < workers {
		return 0, fmt.Errorf("only the workers %v serve, want %d", pids, workers)
	}
	victim := pids[1]
	if err := signalMember(s, victim, unix.SIGSTOP); err != nil {
		return 0, err
	}
	defer func() { _ = signalMember(s, victim, unix.SIGCONT) }() // else it is killed with the others
	return 1, pause(ctx, size.hang)
}

var spin = event{
	name: "spin", title: "An endless loop in a handler", mode: load.NewConnection, rate: 1000,
	under:  spins,
	limits: limits{lost: inHands, p99: 20 * time.Millisecond, p999: 100 * time.Millisecond},
	unable: func(s subject) string {
		if !s.spins {
			return "n/a: it runs no code that could"
		}
		return ""
	},
}

// spins asks for the endless loop as any client would.
func spins(ctx context.Context, s server, size size) (int, error) {
	client, err := net.DialTimeout("tcp", s.Addr(), clientPatience)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if _, err := fmt.Fprint(client, "GET /spin HTTP/1.1\r\nHost: spin\r\n\r\n"); err != nil {
		return 0, err
	}
	return 1, pause(ctx, size.hang)
}

var crash = event{
	name: "crash", title: "SIGKILL of a worker in turn, every 400 ms", mode: load.NewConnection, rate: 2000,
	under: kills, spread: bySlot,
	limits: limits{lost: func(kills int) int { return kills }, p999: 100 * time.Millisecond, longest: time.Second},
}

func kills(ctx context.Context, s server, size size) (int, error) {
	killed := 0
	var turn []int
	for range size.kills {
		if err := pause(ctx, killPeriod); err != nil {
			return killed, err
		}
		pids, err := s.Workers(ctx)
		if err != nil {
			return killed, err
		}
		if turn = inTurn(turn, pids); len(turn) == 0 {
			continue // nobody is back yet
		}
		if err := signalMember(s, turn[0], unix.SIGKILL); err != nil {
			return killed, err
		}
		turn = turn[1:]
		killed++
	}
	return killed, nil
}

// inTurn brings a queue of workers up to date: those that have gone leave it, new
// ones stand at its end.
func inTurn(queue, now []int) []int {
	queue = slices.DeleteFunc(slices.Clone(queue), func(pid int) bool { return !slices.Contains(now, pid) })
	for _, pid := range now {
		if !slices.Contains(queue, pid) {
			queue = append(queue, pid)
		}
	}
	return queue
}

var spread = event{
	name: "spread", title: "Who takes how much, after 2 reloads and a kill", mode: load.NewConnection, rate: 800,
	before: func(ctx context.Context, s server, size size) error {
		size.reloads, size.kills = 2, 1
		if _, err := reloads(ctx, s, size); err != nil {
			return err
		}
		if _, err := kills(ctx, s, size); err != nil {
			return err
		}
		// Until there is a successor: a worker that is not there takes nothing.
		if err := pause(ctx, killPeriod); err != nil {
			return err
		}
		return awaitWorkers(ctx, s, func(now []int) bool { return len(now) == workers })
	},
	under: calm, spread: byPID, limits: limits{lost: func(int) int { return 0 }, spread: 1.3},
}

func calm(ctx context.Context, _ server, size size) (int, error) { return 0, pause(ctx, size.calm) }

var uneven = event{
	name: "uneven", title: "Uneven work: one request in five takes 40 ms", mode: load.NewConnection, rate: 300, path: "/uneven",
	repeat: 5, under: calm, spread: byPID,
	limits: limits{lost: func(int) int { return 0 }, spread: 1.3, p99Ratio: 1.25},
	unable: func(s subject) string {
		if !s.uneven {
			return "n/a: its workers do not serve one request at a time"
		}
		return ""
	},
}
