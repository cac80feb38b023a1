package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"prefork/bench/peer"
)

// body has the length of what prefork's app hello says with a PID of five digits.
const body = "hello from slot 0 generation 1 pid 12345\n"

// subject is something that is compared. An empty missing says that it is there.
type subject struct {
	definition
	path    string // of its program
	missing string // why it is left out
}

// definition is what is known about a subject before it is looked for.
type definition struct {
	name  string // of the flag -subject
	title string // of tables and plots
	// find returns the path of its program.
	find func(ctx context.Context, w workshop) (string, error)
	// spec says how to start the program for a mode.
	spec func(path string, at peer.Place, m mode) (peer.Spec, error)
	// version are the arguments that make the program tell its version.
	version []string
	// module is what a program that we build ourselves is about.
	module string
}

// definitions begin with the two that are compared most: in each round their turns
// follow one another.
var definitions = []definition{
	{name: "prefork", title: "prefork", find: buildPrefork, spec: preforkSpec, version: []string{"version"}},
	{name: "nginx", title: "nginx", find: installed(peer.Program{Name: "nginx", Package: "nginx"}), spec: nginxSpec, version: []string{"-v"}},
	{name: "floor", title: "C floor", find: compileFloor, spec: floorSpec},
	{name: "gnet", title: "gnet", find: build("gnet"), spec: gnetSpec, module: "github.com/panjf2000/gnet/v2"},
	{name: "fasthttp", title: "fasthttp", find: build("fasthttp"), spec: plainSpec, module: "github.com/valyala/fasthttp"},
	{name: "nethttp", title: "net/http", find: build("nethttp"), spec: plainSpec},
	{name: "node", title: "Node.js", find: installed(peer.Program{Name: "node", Package: "nodejs"}), spec: nodeSpec, version: []string{"--version"}},
}

func subjectNames() []string {
	var names []string
	for _, d := range definitions {
		names = append(names, d.name)
	}
	return names
}

func preforkSpec(path string, at peer.Place, _ mode) (peer.Spec, error) {
	return peer.Spec{Args: []string{
		path, "run", "--control", filepath.Join(at.Dir, "c"), "--listen", at.Addr,
		"--workers", "1", "--helpers", "0", "--app", "hello",
	}}, nil
}

func nginxSpec(path string, at peer.Place, _ mode) (peer.Spec, error) {
	return peer.Nginx{Path: path, Dir: at.Dir, Addr: at.Addr, Workers: 1, Reuseport: true, Deferred: true, Body: body}.Spec()
}

// plainSpec is a program that takes an address and a body.
func plainSpec(path string, at peer.Place, _ mode) (peer.Spec, error) {
	return peer.Spec{Args: []string{path, at.Addr, body}}, nil
}

// gnetSpec tells a program that does not parse requests what they will ask for.
func gnetSpec(path string, at peer.Place, m mode) (peer.Spec, error) {
	return peer.Spec{Args: append([]string{path, at.Addr, body}, m.closes()...)}, nil
}

func floorSpec(path string, at peer.Place, m mode) (peer.Spec, error) {
	host, port, err := net.SplitHostPort(at.Addr)
	return peer.Spec{Args: append([]string{path, host, port, body}, m.closes()...)}, err
}

func nodeSpec(path string, at peer.Place, _ mode) (peer.Spec, error) {
	script := filepath.Join(at.Dir, "hello.js")
	if err := os.WriteFile(script, nodeSource, 0o600); err != nil {
		return peer.Spec{}, fmt.Errorf("write the script of node: %w", err)
	}
	host, port, err := net.SplitHostPort(at.Addr)
	return peer.Spec{Args: []string{path, script, host, port, body}}, err
}

// closes is the argument for one that has to close after each answer.
func (m mode) closes() []string {
	if m == short {
		return []string{"close"}
	}
	return nil
}
