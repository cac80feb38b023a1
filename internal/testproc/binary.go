package testproc

import (
	"fmt"
	"os/exec"
	"path/filepath"
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

func (r *testRun) binaryPath() string { return filepath.Join(r.dir, "prefork") }

func (r *testRun) build() (string, error) {
	// -buildvcs=false: git refuses to look at a tree of another user, as in a CI
	// container, and the build would fail with it.
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", r.binaryPath(), "prefork/cmd/prefork")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build prefork: %w\n%s", err, output)
	}
	return r.binaryPath(), nil
}
