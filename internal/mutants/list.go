package main

import (
	"fmt"
	"os"
	"strings"
)

// mutant is one planted bug.
type mutant struct {
	name   string
	file   string // relative to the root of the repository
	breaks string // what is wrong with it, in words
	old    string // occurs exactly once in the file
	new    string
}

// readList reads the mutants of a list. An entry is
//
//	mutant NAME
//	file PATH
//	breaks WORDS
//	-a line of the old text, behind a minus; several for several lines
//	+a line of the new text, behind a plus; none to take the old text out
//
// Empty lines and lines that begin with # are for the reader.
func readList(path string) ([]mutant, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []mutant
	for n, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		word, value, _ := strings.Cut(line, " ")
		if word == "mutant" {
			list = append(list, mutant{name: value})
			continue
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s:%d: %q stands before the first mutant", path, n+1, line)
		}
		m := &list[len(list)-1]
		switch {
		case word == "file":
			m.file = value
		case word == "breaks":
			m.breaks = value
		case line[0] == '-':
			m.old += line[1:] + "\n"
		case line[0] == '+':
			m.new += line[1:] + "\n"
		default:
			return nil, fmt.Errorf("%s:%d: %q is neither mutant, file, breaks, - nor +", path, n+1, line)
		}
	}
	return list, checkList(path, list)
}

func checkList(path string, list []mutant) error {
	seen := map[string]bool{}
	for _, m := range list {
		if m.name == "" || m.file == "" || m.breaks == "" || m.old == "" || m.old == m.new {
			return fmt.Errorf("%s: mutant %q is not complete", path, m.name)
		}
		if seen[m.name] {
			return fmt.Errorf("%s: mutant %q is there twice", path, m.name)
		}
		seen[m.name] = true
	}
	return nil
}

// apply returns the file's text with the mutation.
func (m mutant) apply() (string, error) {
	b, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(b), m.old); n != 1 {
		return "", fmt.Errorf("mutant %s: its old text occurs %d times in %s, not once: adapt the list to the code", m.name, n, m.file)
	}
	return strings.Replace(string(b), m.old, m.new, 1), nil
}
