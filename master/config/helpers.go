package config

import "strconv"

// HelpersMax bounds how many siblings watch each slot: every one more is asked by
// the kernel for each connection that nobody else takes, and beyond a few there is
// always somebody free.
const HelpersMax = 16

const helpersHint = "write a number from 0 (nobody) to 16"

// ParseHelpers reads a count from 0 to HelpersMax.
func ParseHelpers(s string) (int, error) {
	n, ok := parseNumber(s, HelpersMax)
	if !ok {
		return 0, refuse(s, "not a count of siblings: "+helpersHint)
	}
	return n, nil
}

// HelpersInForce is how many siblings watch each slot: none where all share one
// socket, or where the workers are a program that does not get the sockets.
func (c Config) HelpersInForce() int {
	if c.Queue == queueShared || len(c.Command) > 0 && !c.SiblingFDs {
		return 0
	}
	return c.Helpers
}

func (p *problems) checkHelpers(c Config) {
	switch {
	case c.Helpers < 0 || c.Helpers > HelpersMax:
		p.add("helpers", strconv.Itoa(c.Helpers), "not a count of siblings: "+helpersHint)
	case !c.SiblingFDs:
	case len(c.Command) == 0:
		p.add("sibling-fds", "true", "the built-in workers help each other without it: leave it out, or write a command")
	case c.Queue == queueShared:
		p.add("sibling-fds", "true", "with queue shared all workers have the same socket already: leave one of the two out")
	case c.Helpers == 0:
		p.add("sibling-fds", "true", "helpers is 0, so there is no sibling to help: leave it out, or write helpers = 1 or more")
	}
}
