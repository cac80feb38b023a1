package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// testTimeout ends a mutant that loops; long, because the machine may be busy.
const testTimeout = time.Minute

// testArgs makes the tests of the package quick: they need to find one bug. One
// after the other, so that the same one is first each time.
var testArgs = []string{"-test.short", "-test.parallel=1", "-test.failfast", "-schedules=400", "-test.timeout=" + testTimeout.String()}

// verdict is what became of a mutant.
type verdict struct {
	mutant   mutant
	killedBy string // the first test that failed; "": it survived
	took     time.Duration
	err      error // it could not be tried
}

// try applies a mutant and runs the tests of its package until one fails.
func try(m mutant) verdict {
	began := time.Now()
	killedBy, err := killer(m)
	return verdict{mutant: m, killedBy: killedBy, took: time.Since(began), err: err}
}

// killer returns the first test of the package that fails with the mutant.
func killer(m mutant) (string, error) {
	scratch, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	text, err := m.apply()
	if err != nil {
		return "", err
	}
	overlay, err := writeOverlay(scratch, m.file, text)
	if err != nil {
		return "", err
	}
	return firstFailing(scratch, "./"+filepath.Dir(m.file), "-overlay="+overlay)
}

// firstFailing builds the tests of a package and runs them until one fails; ""
// when none does.
func firstFailing(scratch, pkg string, buildArgs ...string) (string, error) {
	program := filepath.Join(scratch, "tests")
	build := exec.Command("go", append(append([]string{"test", "-c", "-o", program}, buildArgs...), pkg)...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tests of %s: %w\n%s", pkg, err, out)
	}
	tests := exec.Command(program, testArgs...)
	tests.Dir = pkg // where go test would run it
	if out, err := tests.CombinedOutput(); err != nil {
		return firstFailure(string(out)), nil
	}
	return "", nil
}

// firstFailure finds the name of the test that failed, or that was running when
// the program panicked or ran out of time.
func firstFailure(out string) string {
	if name := failure.FindStringSubmatch(out); name != nil {
		return name[1] + name[2]
	}
	return "a crash outside of the tests"
}

var failure = regexp.MustCompile(`--- FAIL: (Test\w+)|\t(Test\w+) \(\d`)

// writeOverlay writes what the go command wants for -overlay: a file that says
// which other file stands in for the one in the tree.
func writeOverlay(scratch, file, text string) (string, error) {
	original, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	mutated := filepath.Join(scratch, filepath.Base(file))
	b, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(mutated, []byte(text), 0o644); err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, b, 0o644)
}
