// Mutants plants bugs and wants the tests to find them. A test suite that is
// green proves little until it has been red: each entry of a list is one small
// change that breaks something by name, and the suite has to notice.
//
//	list of mutants ──► overlay (no file in the tree is changed) ──► go test -c
//	                                                                     │
//	                     table: mutant, killed by which test ◄── until one fails
//
// Run it from the root of the repository:
//
//	go run ./internal/mutants                   all of them; exit 1 when one survives
//	go run ./internal/mutants -only NAME        one of them
//	go run ./internal/mutants -write            and write docs/MUTANTS.md
//
// It promises that every mutant was applied exactly once, that it compiled,
// and that the unchanged package passes the same tests. It does not promise
// that the list is complete: whoever fixes a bug adds the bug to the list.
//
// It owns one goroutine for each CPU; all end before it returns.
package main
