package main

import (
	"os"
	"strings"
	"testing"
)

// TestListsApply is the quick half of the program: each mutant still fits the
// code, and the page names it. Whether it is killed takes minutes to see.
func TestListsApply(t *testing.T) {
	t.Chdir("../..") // not parallel: the paths of the lists begin at the root
	list, err := readLists("")
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if _, err := m.apply(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(written), "| "+m.name+" | "+m.breaks+" |") {
			t.Errorf("%s does not know mutant %s: go run ./internal/mutants -write", pagePath, m.name)
		}
	}
	if strings.Contains(string(written), "**nobody**") {
		t.Errorf("%s names a mutant that nobody kills", pagePath)
	}
}
