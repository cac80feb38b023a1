package testproc

import (
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"testing"
)

// Binary returns the path of the prefork binary, which the first call builds
// from this tree, without -race: it is judged as users run it, and its workers
// must start fast. It stands until the run ends.
func Binary(t testing.TB) string {
	t.Helper()
	return Program(t, "prefork/cmd/prefork")
}

// Program returns the path of another program of this module, named by its
// package. Else it is as Binary's.
func Program(t testing.TB, pkg string) string {
	t.Helper()
	return mustRun(t).program(t, build{name: path.Base(pkg), pkg: pkg})
}

// Trial returns the path of a binary that also has the app trial, whose requests
// can misbehave: see worker/trial.go. Else it is as Binary's.
func Trial(t testing.TB) string {
	t.Helper()
	return mustRun(t).program(t, build{name: "prefork-trial", pkg: "prefork/cmd/prefork", tags: "trial"})
}

// build is one program in the folder of the run.
type build struct{ name, pkg, tags string }

// program builds it once.
func (r *testRun) program(t testing.TB, b build) string {
	t.Helper()
	r.mu.Lock()
	once, begun := r.builds[b]
	if !begun {
		once = sync.OnceValues(func() (string, error) { return r.build(b) })
		r.builds[b] = once
	}
	r.mu.Unlock()
	path, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *testRun) build(b build) (string, error) {
	path := filepath.Join(r.dir, b.name)
	// -buildvcs=false: git refuses to look at a tree of another user, as in a CI
	// container, and the build would fail with it.
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-tags", b.tags, "-o", path, b.pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", b.name, err, output)
	}
	return path, nil
}
