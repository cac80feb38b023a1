// Package layout is a test: it reads the source of this module and fails when
// the house loses its shape. There is no code to import.
//
//	rules_test.go    what each package may import, and why; a package without a
//	                 rule fails, so that adding one is a decision
//	imports_test.go  checks the rules: who imports whom, and what a pure package
//	                 must not touch
//	limits_test.go   checks what holds for every file: its length, no sleeping,
//	                 where a program may end
//	tree_test.go     reads the tree
//
// Test files may import what they like (they stand outside of what is shipped),
// but the limits hold for them too. It owns no goroutine.
package layout
