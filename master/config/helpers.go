package config

import (
	"strconv"

	"prefork/master/supervise"
)

const (
	// HelpersMax bounds how many siblings watch each slot.
	HelpersMax = supervise.HelpersMax
	// siblingSocketsMax bounds the listening sockets of a worker of a Command, its
	// siblings' with them, well below the usual soft limit of 1,024 open files. The
	// start of a worker has the same bound.
	siblingSocketsMax = 512
)

const helpersHint = "not a count of siblings: write a number from 0 (nobody) to %d"

// ParseHelpers reads a count from 0 to HelpersMax.
func ParseHelpers(s string) (int, error) {
	n, ok := parseNumber(s, HelpersMax)
	if !ok {
		return 0, refuse(s, helpersHint, HelpersMax)
	}
	return n, nil
}

// HelpersInForce is how many siblings watch each slot: none where all share one
// socket, or where the workers are a program that does not get the sockets.
func (c Config) HelpersInForce() int {
	if len(c.Command) > 0 && !c.SiblingFDs {
		return 0
	}
	return c.HelpersOfOurs()
}

// HelpersOfOurs is the same where the workers speak the master's own protocol: they
// get the sockets by it.
func (c Config) HelpersOfOurs() int {
	if c.Queue == queueShared {
		return 0
	}
	return c.Helpers
}

// Rebalances tells whether connections are evened out.
func (c Config) Rebalances() bool { return c.Rebalance == rebalanceOn }

func (p *problems) checkHelpers(c Config) {
	add := func(format string, args ...any) { p.add("sibling-fds", "true", format, args...) }
	sockets := len(c.Listen) * (1 + c.Helpers)
	switch {
	case c.Helpers < 0 || c.Helpers > HelpersMax:
		p.add("helpers", strconv.Itoa(c.Helpers), helpersHint, HelpersMax)
	case !c.SiblingFDs:
	case len(c.Command) == 0:
		add("the built-in workers help each other without it: leave it out, or write a command")
	case c.Queue == queueShared:
		add("with queue shared all workers have the same socket already: leave one of the two out")
	case c.Helpers == 0:
		add("helpers is 0, so there is no sibling to help: leave it out, or write helpers = 1 or more")
	case sockets > siblingSocketsMax:
		add("each worker would hold %d listening sockets, and %d are the limit: write fewer helpers, or fewer addresses", sockets, siblingSocketsMax)
	}
}
