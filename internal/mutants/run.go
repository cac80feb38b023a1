package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// testTimeout ends a mutant that loops; long, because the machine may be busy.
const testTimeout = 5 * time.Minute

// testArgs makes the tests of the package quick: they need to find one bug.
var testArgs = []string{"-test.short", "-schedules=400", "-test.timeout=" + testTimeout.String()}

// verdict is what became of a mutant.
type verdict struct {
	mutant   mutant
	killedBy []string // names of tests; none: it survived
	took     time.Duration
	err      error // it could not be tried
}

// try applies a mutant and runs each test of its package by itself.
func try(m mutant) verdict {
	began := time.Now()
	killedBy, err := failing(m)
	return verdict{mutant: m, killedBy: killedBy, took: time.Since(began), err: err}
}

// failing returns the tests of the package that fail with the mutant.
func failing(m mutant) ([]string, error) {
	scratch, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	text, err := m.apply()
	if err != nil {
		return nil, err
	}
	overlay, err := writeOverlay(scratch, m.file, text)
	if err != nil {
		return nil, err
	}
	return failingTests(scratch, "./"+filepath.Dir(m.file), "-overlay="+overlay)
}

// failingTests builds the tests of a package and returns those that fail.
func failingTests(scratch, pkg string, buildArgs ...string) (failed []string, err error) {
	program := filepath.Join(scratch, "tests")
	build := exec.Command("go", append(append([]string{"test", "-c", "-o", program}, buildArgs...), pkg)...)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build tests of %s: %w\n%s", pkg, err, out)
	}
	names, err := run(program, pkg, "-test.list=.")
	if err != nil {
		return nil, fmt.Errorf("list tests of %s: %w\n%s", pkg, err, names)
	}
	for _, name := range strings.Fields(names) {
		if _, err := run(program, pkg, append([]string{"-test.run=^" + name + "$"}, testArgs...)...); err != nil {
			failed = append(failed, name)
		}
	}
	return failed, nil
}

// run runs a test program where go test would, in the folder of its package.
func run(program, dir string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

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
