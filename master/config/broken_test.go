package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew; read the diff before you keep it")

// TestBrokenFiles holds every complaint about a file to its golden words: testdata
// has a file for each mistake that somebody makes, and what is said about it.
func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/broken/*.toml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d broken files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Resolve(Sources{File: &File{Path: "shop.toml", Data: data}})
			if err == nil {
				t.Fatal("it was accepted")
			}
			checkLines(t, err)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the value of a variable is shown:\n%v", err)
			}
			checkGolden(t, strings.TrimSuffix(file, ".toml")+".want", err.Error()+"\n")
		})
	}
}

func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// checkLines holds each line of a configuration's error to what a person needs:
// where, and no control characters.
func checkLines(t testing.TB, err error) {
	t.Helper()
	lines := strings.Split(err.Error(), "\n")
	for _, line := range lines {
		checkOneLine(t, fmt.Errorf("%s", line))
		if !strings.HasPrefix(line, "shop.toml:") && !strings.HasPrefix(line, "and ") {
			t.Errorf("%q does not say where it is", line)
		}
	}
	if len(lines) > findingsMax+1 {
		t.Errorf("%d lines", len(lines))
	}
}
