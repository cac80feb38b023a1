package layout

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestImports(t *testing.T) {
	t.Parallel()
	all := readTree(t)
	for _, problem := range checkImports(all, rules) {
		t.Error(problem)
	}
}

// checkImports returns one line for each breach of the rules.
func checkImports(all tree, rules map[string]rule) []string {
	var problems []string
	unknown := map[string]bool{}
	for _, file := range all.files {
		rule, known := rules[file.pkg]
		if !known && !unknown[file.pkg] {
			unknown[file.pkg] = true
			problems = append(problems, fmt.Sprintf("package %s has no rule: decide what it may import and why, in internal/layout/rules_test.go", file.pkg))
		}
		if !known || file.isTest() {
			continue
		}
		for _, imported := range file.imports() {
			if reason := refuse(imported.path, rule); reason != "" {
				problems = append(problems, fmt.Sprintf("%s: %s may not import %s, because %s", all.at(imported.at), file.pkg, imported.path, reason))
			}
		}
		if rule.pure {
			problems = append(problems, checkPure(all, file)...)
		}
	}
	return problems
}

// refuse returns why a rule forbids an import, "" if it does not.
func refuse(path string, r rule) string {
	ours, isOurs := strings.CutPrefix(path, module+"/")
	guard, isGuarded := guarded[path]
	switch {
	case isOurs && !slices.Contains(r.ours, ours):
		return r.why
	case isOurs, slices.Contains(r.others, path):
		return ""
	case isGuarded:
		return guard
	case isThirdParty(path):
		return "a dependency is a decision of each package: name it in its rule, with a reason in docs/DECISIONS.md if it is new"
	case r.pure && isImpure(path):
		return pureReason
	}
	return ""
}

// isThirdParty goes by the dot in the first element, as the go command does.
func isThirdParty(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

func isImpure(path string) bool {
	return !slices.Contains(pureExceptions, path) && slices.ContainsFunc(pureImports, func(impure string) bool {
		return path == impure || strings.HasPrefix(path, impure+"/")
	})
}

// checkPure looks for what needs no import: the clock, goroutines and channels.
func checkPure(all tree, file sourceFile) []string {
	var problems []string
	complain := func(node ast.Node, what string) {
		problems = append(problems, fmt.Sprintf("%s: %s may not use %s, because %s", all.at(node), file.pkg, what, pureReason))
	}
	for _, name := range pureUses {
		for _, use := range file.uses("time", name) {
			complain(use, "time."+name)
		}
	}
	ast.Inspect(file.syntax, func(node ast.Node) bool {
		switch node.(type) {
		case *ast.GoStmt:
			complain(node, "a goroutine")
		case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			complain(node, "a channel")
		}
		return true
	})
	return problems
}

// TestImportsFindsBreaches plants breaches, one for each rule of this file.
func TestImportsFindsBreaches(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path, source string
		want         string // part of the one problem; empty: none
	}{
		"allowed":              {path: "master/loop.go", source: `import "prefork/ipc"`},
		"against the way":      {path: "ipc/conn.go", source: `import "prefork/master"`, want: "ipc/conn.go:2: ipc may not import prefork/master, because a leaf"},
		"master and worker":    {path: "master/loop.go", source: `import "prefork/worker"`, want: "could not be read without it"},
		"part of another part": {path: "master/listen/open.go", source: `import "prefork/master/process"`, want: "do not know each other"},
		"new dependency":       {path: "ipc/conn.go", source: `import "example.com/fast"`, want: "a dependency is a decision"},
		"log in a leaf":        {path: "worker/reactor/loop.go", source: `import "log"`, want: "only the shells log"},
		"unsafe":               {path: "master/loop.go", source: `import "unsafe"`, want: "no compile error"},
		"test file":            {path: "ipc/conn_test.go", source: `import "prefork/master"`},
		"package without rule": {path: "master/extra/extra.go", source: ``, want: "package master/extra has no rule"},
		"impure import":        {path: "master/supervise/step.go", source: `import "os"`, want: pureReason},
		"impure import below":  {path: "master/supervise/step.go", source: `import "net/http"`, want: pureReason},
		"pure import below":    {path: "master/config/address.go", source: `import "net/netip"`},
		"clock":                {path: "master/supervise/step.go", source: "import \"time\"\nvar _ = time.Now()", want: "may not use time.Now"},
		"renamed clock":        {path: "master/supervise/step.go", source: "import clock \"time\"\nvar _ = clock.Now()", want: "may not use time.Now"},
		"duration":             {path: "master/supervise/step.go", source: "import \"time\"\nvar _ = time.Second"},
		"clock elsewhere":      {path: "master/loop.go", source: "import \"time\"\nvar _ = time.Now()"},
		"goroutine":            {path: "worker/proto/http.go", source: "func f() { go f() }", want: "may not use a goroutine"},
		"channel":              {path: "worker/proto/http.go", source: "var c chan int", want: "may not use a channel"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := checkImports(plant(t, test.path, test.source), rules)
			if test.want == "" && len(got) == 0 {
				return
			}
			if test.want == "" || len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Errorf("got %q, want one problem with %q", got, test.want)
			}
		})
	}
}

// plant returns a tree of one file.
func plant(t *testing.T, path, source string) tree {
	t.Helper()
	planted := tree{positions: token.NewFileSet()}
	path = filepath.Join(root, path)
	syntax, err := parser.ParseFile(planted.positions, path, "package planted\n"+source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	planted.files = []sourceFile{newSourceFile(planted.positions, path, syntax)}
	return planted
}
