package peer

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"time"
)

// Ran is what a program that has come to its end leaves.
type Ran struct {
	Output []byte        // its standard output
	CPU    time.Duration // user and system time, with that of its children
}

// RunOn runs a program to its end on some cores only; no cores: on all that we may
// use. The error holds what it wrote to standard error. When ctx ends, it is killed.
func RunOn(ctx context.Context, cores []int, args ...string) (Ran, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := startOn(cores, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return Ran{}, fmt.Errorf("run %s: %w\n%s%s", args[0], err, &stderr, &stdout)
	}
	return Ran{Output: stdout.Bytes(), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}
