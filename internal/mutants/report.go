package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// line is a verdict for the terminal.
func (v verdict) line() string {
	outcome := "SURVIVED"
	switch {
	case v.err != nil:
		outcome = "NOT TRIED: " + v.err.Error()
	case v.killedBy != "":
		outcome = "killed by " + v.killedBy
	}
	return fmt.Sprintf("%-34s %6s  %s", v.mutant.name, v.took.Round(100*time.Millisecond), outcome)
}

// page is docs/MUTANTS.md. It has no times, so that it changes only when the
// mutants or the tests do.
func page(verdicts []verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Planted bugs and the tests that find them

Written by `+"`go run ./internal/mutants -write`"+`; do not edit. Each of these %d changes breaks one thing; the
package is built with it, and its tests are run until one fails. A mutant that no test kills fails the run.

| mutant | what it breaks | killed by |
|---|---|---|
`, len(verdicts))
	for _, v := range verdicts {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", v.mutant.name, v.mutant.breaks, cmp.Or(v.killedBy, "**nobody**"))
	}
	return b.String()
}
