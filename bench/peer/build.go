package peer

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
)

// Source is a program of the tree that we were started in.
type Source struct {
	Package string // "prefork/cmd/prefork"
	Tags    string // build tags; empty: none
}

// Build builds the program and returns the path of the binary in dir.
func (s Source) Build(ctx context.Context, dir string) (string, error) {
	name := path.Base(s.Package)
	binary := filepath.Join(dir, name)
	// -buildvcs=false: git refuses to look at a tree of another user, as in a CI
	// container, and the build would fail with it.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags", s.Tags, "-o", binary, s.Package)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, output)
	}
	return binary, nil
}
