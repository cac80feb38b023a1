package cli

import (
	"errors"
	"fmt"
	"strings"

	"prefork/master/control"
)

// Exit codes are classes; README has the same table.
const (
	exitDone       = 0
	exitFailed     = 1 // also: busy with another change
	exitUsage      = 2 // usage or configuration; nothing changed
	exitNoMaster   = 3
	exitRolledBack = 4 // also: --timeout ran out
)

// exitError is an error that knows its class.
type exitError struct {
	code int
	text string // empty: it was said already
}

func (e *exitError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, text: fmt.Sprintf(format, args...)}
}

// report prints an error as one line (or one for each problem) and returns the
// exit code of its class.
func report(env environment, err error) int {
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var classified *exitError
	switch {
	case errors.As(err, &classified):
		code = classified.code
	case errors.Is(err, control.ErrNoMaster):
		code = exitNoMaster
	}
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimPrefix(strings.TrimRight(line, "\n"), "prefork: ") // the exec step's words have it already
		fmt.Fprintf(env.stderr, "%s: %s\n", env.program(), printable(line))   // last words of a worker may be among them
	}
	return code
}

// resultCode is the exit code for a master's answer.
func resultCode(result string) int {
	switch result {
	case "ok":
		return exitDone
	case "refused":
		return exitUsage
	case "rolled_back", "timeout":
		return exitRolledBack
	}
	return exitFailed
}
