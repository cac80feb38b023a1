package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "prefork"
	root   = "../.." // of the module, seen from this package
)

// tree is the source of the module.
type tree struct {
	positions *token.FileSet
	files     []sourceFile
}

// sourceFile is one Go file. Its package is the path of its folder below the
// root, with slashes.
type sourceFile struct {
	pkg, name string // "master/listen", "open_linux.go"
	lines     int
	syntax    *ast.File
}

func (f sourceFile) path() string { return f.pkg + "/" + f.name }

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// imported is one import of a file.
type imported struct {
	path string
	at   ast.Node
}

func (f sourceFile) imports() []imported {
	var all []imported
	for _, spec := range f.syntax.Imports {
		path, _ := strconv.Unquote(spec.Path.Value) // the parser accepted it
		all = append(all, imported{path: path, at: spec})
	}
	return all
}

// within says whether the file belongs to a folder or one below it.
func (f sourceFile) within(folder string) bool {
	return f.pkg == folder || strings.HasPrefix(f.pkg, folder+"/")
}

// readTree parses every Go file of the module, for any operating system.
func readTree(t *testing.T) tree {
	t.Helper()
	all := tree{positions: token.NewFileSet()}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && ignored(path, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		syntax, err := parser.ParseFile(all.positions, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all.files = append(all.files, newSourceFile(all.positions, path, syntax))
		return nil
	})
	if err != nil {
		t.Fatalf("read the module's source: %v", err)
	}
	return all
}

func newSourceFile(positions *token.FileSet, path string, syntax *ast.File) sourceFile {
	folder, name := filepath.Split(path)
	pkg, _ := filepath.Rel(root, folder) // both are relative: no error
	return sourceFile{
		pkg:    filepath.ToSlash(pkg),
		name:   name,
		lines:  positions.File(syntax.FileStart).LineCount(),
		syntax: syntax,
	}
}

// ignored are the folders that the go command passes over too, and those of other
// modules.
func ignored(path, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" {
		return true
	}
	modules, _ := filepath.Glob(filepath.Join(path, "go.mod")) // only a bad pattern is an error
	return len(modules) > 0
}

// at is the place of a node, for messages.
func (t tree) at(node ast.Node) string {
	place := t.positions.Position(node.Pos())
	path, _ := filepath.Rel(root, place.Filename)
	return filepath.ToSlash(path) + ":" + strconv.Itoa(place.Line)
}

// uses returns the places that use a name of an imported package, whatever the
// file calls that package: uses("time", "Sleep") finds time.Sleep.
func (f sourceFile) uses(path, name string) []ast.Node {
	local := f.localName(path)
	if local == "" {
		return nil
	}
	var found []ast.Node
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != name {
			return true
		}
		if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == local {
			found = append(found, node)
		}
		return true
	})
	return found
}

// localName is what a file calls an imported package, "" if it does not import it.
func (f sourceFile) localName(path string) string {
	for _, spec := range f.syntax.Imports {
		if spec.Path.Value != strconv.Quote(path) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}
