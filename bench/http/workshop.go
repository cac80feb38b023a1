package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"prefork/bench/peer"
)

//go:embed floor/floor.c
var floorSource []byte

//go:embed node/hello.js
var nodeSource []byte

// workshop finds and builds programs.
type workshop struct {
	dir     string // where they are put
	prefork string // a binary to take instead of building one
	install bool   // what is missing may be installed
	log     io.Writer
}

// subjects returns those that are wanted, in the order of definitions. One whose
// program is not there says why, except for prefork, which has to be.
func (w workshop) subjects(ctx context.Context, names []string) ([]subject, error) {
	var all []subject
	for _, d := range definitions {
		if !slices.Contains(names, d.name) {
			continue
		}
		s := subject{definition: d}
		var err error
		if s.path, err = d.find(ctx, w); err != nil {
			if ctx.Err() != nil || d.name == "prefork" {
				return nil, err
			}
			s.missing = err.Error()
		}
		all = append(all, s)
	}
	return all, nil
}

// buildPrefork is the binary of the flag, or of this tree.
func buildPrefork(ctx context.Context, w workshop) (string, error) {
	if w.prefork != "" {
		return w.prefork, nil
	}
	return peer.Source{Package: "prefork/cmd/prefork"}.Build(ctx, w.dir)
}

// build builds one of the servers below this folder.
func build(name string) func(context.Context, workshop) (string, error) {
	return func(ctx context.Context, w workshop) (string, error) {
		return peer.Source{Package: "prefork/bench/http/" + name}.Build(ctx, w.dir)
	}
}

// installed is a program of Debian.
func installed(p peer.Program) func(context.Context, workshop) (string, error) {
	return func(ctx context.Context, w workshop) (string, error) {
		return peer.Find(ctx, p, w.install, w.log)
	}
}

// compileFloor needs the headers of the C library, which gcc alone does not bring.
func compileFloor(ctx context.Context, w workshop) (string, error) {
	compiler, err := peer.Find(ctx, peer.Program{Name: "cc", Package: "build-essential"}, w.install, w.log)
	if err != nil {
		return "", err
	}
	source := filepath.Join(w.dir, "floor.c")
	if err := os.WriteFile(source, floorSource, 0o600); err != nil {
		return "", fmt.Errorf("write the source of the floor: %w", err)
	}
	binary := filepath.Join(w.dir, "floor")
	_, err = peer.RunOn(ctx, nil, compiler, "-O2", "-o", binary, source)
	return binary, err
}
