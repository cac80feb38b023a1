package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReloadWithoutRootRollsBack: the folder of before serves on, and the reason is
// told.
func TestReloadWithoutRootRollsBack(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "site")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "index.html"), []byte("<p>the site"), 0o644); err != nil {
		t.Fatal(err)
	}
	m, st := ready(t, "--workers", "2", "--app", "static", "--root", root)
	mustServeSite := func() {
		t.Helper()
		if a := get(t, addr(st)); !strings.HasPrefix(a, "HTTP/1.1 200 OK") || !strings.HasSuffix(a, "<p>the site") {
			t.Errorf("answer is %q, want the index", a)
		}
	}
	mustServeSite()
	if err := os.Rename(root, root+".away"); err != nil {
		t.Fatal(err)
	}
	if r := m.Run(t, "reload"); r.Code != 4 || !strings.Contains(r.Stderr, "no such file or directory: give root a folder") {
		t.Errorf("reload without its root: %v", r)
	}
	mustServeSite()
	if err := os.Rename(root+".away", root); err != nil {
		t.Fatal(err)
	}
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Errorf("reload: %v", r)
	}
	mustServeSite()
}
