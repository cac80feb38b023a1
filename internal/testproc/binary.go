package testproc

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Binary returns the path of the prefork binary, which the first call builds
// from this tree, without -race: it is judged as users run it, and its workers
// must start fast. It stands until the run ends.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := mustRun(t).binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Trial returns the path of a binary that also has the app trial, whose requests
// can misbehave: see worker/trial.go. Else it is as Binary's.
func Trial(t testing.TB) string {
	t.Helper()
	path, err := mustRun(t).trial()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	binaryName = "prefork"
	trialName  = "prefork-trial"
)

// built are the names of what build makes, in the folder of the run.
var built = []string{binaryName, trialName}

func (r *testRun) build(name string, flags ...string) (string, error) {
	path := filepath.Join(r.dir, name)
	// -buildvcs=false: git refuses to look at a tree of another user, as in a CI
	// container, and the build would fail with it.
	args := slices.Concat([]string{"build", "-buildvcs=false", "-o", path}, flags, []string{"prefork/cmd/prefork"})
	if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, output)
	}
	return path, nil
}
