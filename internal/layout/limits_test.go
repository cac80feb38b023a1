package layout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	linesMax     = 500 // of a file: one role, to be read at a sitting
	testLinesMax = 800
)

// longFiles are the files that may be longer, each with the reason.
var longFiles = map[string]string{}

// sleepers are the folders in which time.Sleep is no synchronisation: what stands
// there plays a slow program.
var sleepers = []string{"bench", "examples"}

func TestLimits(t *testing.T) {
	t.Parallel()
	all := readTree(t)
	for _, problem := range slices.Concat(checkLimits(all), checkDocs(all), checkExcuses(all)) {
		t.Error(problem)
	}
}

func checkLimits(all tree) []string {
	var problems []string
	for _, file := range all.files {
		problems = append(problems, checkLength(file)...)
		problems = append(problems, checkSleep(all, file)...)
		problems = append(problems, checkExit(all, file)...)
	}
	return problems
}

func checkLength(file sourceFile) []string {
	limit := linesMax
	if file.isTest() {
		limit = testLinesMax
	}
	_, excused := longFiles[file.path()]
	switch {
	case file.lines > limit && !excused:
		return []string{fmt.Sprintf("%s has %d lines, more than %d: split it by role, or give the reason in longFiles", file.path(), file.lines, limit)}
	case file.lines <= limit && excused:
		return []string{fmt.Sprintf("%s has %d lines and needs no excuse any more: remove it from longFiles", file.path(), file.lines)}
	}
	return nil
}

func checkSleep(all tree, file sourceFile) []string {
	for _, folder := range sleepers {
		if file.within(folder) {
			return nil
		}
	}
	var problems []string
	for _, use := range file.uses("time", "Sleep") {
		problems = append(problems, fmt.Sprintf("%s: time.Sleep: wait for what you need, with a deadline; a sleep is too short on a slow machine and too long on every other", all.at(use)))
	}
	return problems
}

// checkExit: whatever is below main returns an error or an exit code, so that it
// can be tested and what was deferred runs.
func checkExit(all tree, file sourceFile) []string {
	if file.name == "main.go" || file.isTest() {
		return nil
	}
	var problems []string
	for _, use := range file.uses("os", "Exit") {
		problems = append(problems, fmt.Sprintf("%s: os.Exit outside of main.go: return an error or an exit code", all.at(use)))
	}
	return problems
}

// checkDocs: every package says what it promises, in doc.go; a program of one
// file may say it in main.go.
func checkDocs(all tree) []string {
	documented := map[string]bool{}
	for _, file := range all.files {
		told := (file.name == "doc.go" || file.name == "main.go") && file.syntax.Doc != nil
		documented[file.pkg] = documented[file.pkg] || told
	}
	var problems []string
	for pkg, told := range documented {
		if !told {
			problems = append(problems, fmt.Sprintf("package %s has no doc.go with a package comment: say what it promises, what it does not, and its goroutines", pkg))
		}
	}
	return problems
}

// checkExcuses finds excuses for files that are not there any more.
func checkExcuses(all tree) []string {
	var problems []string
	for path := range longFiles {
		if !slices.ContainsFunc(all.files, func(f sourceFile) bool { return f.path() == path }) {
			problems = append(problems, fmt.Sprintf("longFiles names %s, which is not there: remove it", path))
		}
	}
	return problems
}

func TestLimitsFindsBreaches(t *testing.T) {
	t.Parallel()
	const sleep = "import \"time\"\nfunc f() { time.Sleep(1) }"
	const exit = "import \"os\"\nfunc f() { os.Exit(1) }"
	tests := map[string]struct {
		path, source string
		want         string
	}{
		"as long as may be":     {path: "ipc/a.go", source: strings.Repeat("\n", linesMax-1)},
		"too long":              {path: "ipc/a.go", source: strings.Repeat("\n", linesMax), want: "ipc/a.go has 501 lines"},
		"test as long":          {path: "ipc/a_test.go", source: strings.Repeat("\n", linesMax)},
		"test too long":         {path: "ipc/a_test.go", source: strings.Repeat("\n", testLinesMax), want: "has 801 lines"},
		"sleep":                 {path: "ipc/a.go", source: sleep, want: "ipc/a.go:3: time.Sleep"},
		"sleep in a test":       {path: "ipc/a_test.go", source: sleep, want: "time.Sleep"},
		"sleep in an example":   {path: "examples/slow/main.go", source: sleep},
		"other package's Sleep": {path: "ipc/a.go", source: "import \"example.com/time/v2\"\nfunc f() { v2.Sleep(1) }"},
		"exit":                  {path: "worker/life.go", source: exit, want: "os.Exit outside of main.go"},
		"exit in main":          {path: "cmd/prefork/main.go", source: exit},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := checkLimits(plant(t, test.path, test.source))
			if test.want == "" && len(got) == 0 {
				return
			}
			if test.want == "" || len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Errorf("got %q, want one problem with %q", got, test.want)
			}
		})
	}
	if got := checkDocs(plant(t, "ipc/a.go", "")); len(got) != 1 {
		t.Errorf("package without a doc.go: got %q, want one problem", got)
	}
}
