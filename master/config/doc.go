// Package config is what the operator asked for, as values: addresses, counts,
// times, limits, paths.
//
// It promises
//   - that one table, Keys, has everything that can be set, for the file, the
//     environment and the flags alike;
//   - that everything which Parse* accepts prints itself again with String, and
//     parses to the same value; and that a whole configuration does so with TOML;
//   - that Resolve and Validate find all problems at once, so that nobody corrects
//     a file one error at a time; each problem is one line that says where, what,
//     the value, why, and what to do;
//   - that no value of the workers' environment is in any text that it gives.
//
// It is given the bytes of a file, the environment and the flags; it reads none of
// them itself, and it does not look at the machine: `workers = auto` stays 0 until
// somebody who may ask the kernel resolves it. A configuration that is valid here
// can still fail to bind.
//
//	flags       ──┐                     ┌─► Config ──► the parts of the master
//	environment ──┼─► layers ─► Resolve ┤
//	file        ──┘                     └─► TOML: where each value came from
//
//	key.go, keylists.go         the table
//	file.go, filevalue.go       a file, statement by statement
//	syntax.go                   what is wrong where it does not parse
//	environ.go                  variables and flags
//	resolve.go, origin.go       layers, and where values came from
//	validate.go, program.go     what values mean together
//	tls.go, certificate.go      TLS; what files hold that others have read
//	change.go                   what a reload cannot change
//
// The package is pure: no I/O, no clock, no goroutines. Its values may be copied
// freely and read from several goroutines.
package config
