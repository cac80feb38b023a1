package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// RefuseChange names every key that next wants different and a reload cannot
// change, each with a *Problem, joined by errors.Join; nil when there is none.
// By name and control operators find this master, and its lock bears the name;
// the pid file and the log are opened once.
func RefuseChange(running, next Config) error {
	var found problems
	for _, k := range keys {
		now, wanted := k.Words(running), k.Words(next)
		if k.Fixed && !slices.Equal(now, wanted) {
			found.add(k.Name, strings.Join(wanted, " "), "a reload cannot change it from %s: set it back, or stop and start again",
				fmt.Sprintf("%.100q", strings.Join(now, " ")))
		}
	}
	return errors.Join(found...)
}
