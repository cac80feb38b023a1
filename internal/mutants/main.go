package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
)

const (
	lists    = "internal/mutants/*.mutants"
	pagePath = "docs/MUTANTS.md"
)

func main() {
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// command is the program as a function: 0 all killed, 1 not, 2 usage.
func command(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	write := flags.Bool("write", false, "write "+pagePath)
	only := flags.String("only", "", "the only mutant to try")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	list, err := readLists(*only)
	if err == nil {
		err = checkUnchanged(list)
	}
	if err != nil {
		fmt.Fprintln(stderr, "mutants:", err)
		return 1
	}
	verdicts := tryAll(list, stdout)
	if *write && *only == "" {
		if err := os.WriteFile(pagePath, []byte(page(verdicts)), 0o644); err != nil {
			fmt.Fprintln(stderr, "mutants:", err)
			return 1
		}
	}
	if slices.ContainsFunc(verdicts, func(v verdict) bool { return v.err != nil || v.killedBy == "" }) {
		return 1
	}
	return 0
}

// readLists reads every list, or one mutant of them.
func readLists(only string) (all []mutant, err error) {
	paths, err := filepath.Glob(lists)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		list, err := readList(path)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	if only != "" {
		all = slices.DeleteFunc(all, func(m mutant) bool { return m.name != only })
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no mutant %q in %s: run it from the root of the repository", only, lists)
	}
	return all, nil
}

// checkUnchanged wants the packages to pass as they are: tests that fail anyway
// kill every mutant.
func checkUnchanged(list []mutant) error {
	done := map[string]bool{}
	for _, m := range list {
		pkg := "./" + filepath.Dir(m.file)
		if done[pkg] {
			continue
		}
		done[pkg] = true
		scratch, err := os.MkdirTemp("", "mutant-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(scratch)
		failed, err := firstFailing(scratch, pkg)
		if err != nil {
			return err
		}
		if failed != "" {
			return fmt.Errorf("%s of %s fails without any mutant: repair it first", failed, pkg)
		}
	}
	return nil
}

// tryAll tries the mutants, as many at once as there are CPUs, and prints each
// verdict in the order of the list.
func tryAll(list []mutant, out io.Writer) []verdict {
	verdicts := make([]verdict, len(list))
	done := make([]chan struct{}, len(list))
	for i := range list {
		done[i] = make(chan struct{})
	}
	next := make(chan int)
	var group sync.WaitGroup
	for range runtime.NumCPU() {
		group.Go(func() {
			for i := range next {
				verdicts[i] = try(list[i])
				close(done[i])
			}
		})
	}
	group.Go(func() {
		defer close(next)
		for i := range list {
			next <- i
		}
	})
	for i := range list {
		<-done[i]
		fmt.Fprintln(out, verdicts[i].line())
	}
	group.Wait()
	return verdicts
}
