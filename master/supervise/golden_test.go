package supervise

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata; read the diff before you keep it")

// golden compares got with the file in testdata, or with -update makes it the file.
func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with -update)", err)
	}
	if diff := firstDifference(got, string(b)); diff != "" {
		t.Errorf("%s: %s\nif that is what was decided: go test -run '%s' -update, and read the diff", path, diff, t.Name())
	}
}

// firstDifference shows the first line in which two texts differ, with a
// little of what leads to it; "" when they are equal.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := 0; i < max(len(g), len(w)); i++ {
		if i < len(g) && i < len(w) && g[i] == w[i] {
			continue
		}
		lines := func(all []string) string {
			if i >= len(all) {
				return "(ends here)"
			}
			return all[i]
		}
		before := strings.Join(g[max(0, i-5):i], "\n  ")
		return "line " + itoa(i+1) + " differs, after\n  " + before + "\ngot:\n  " + lines(g) + "\nwant:\n  " + lines(w)
	}
	return ""
}
