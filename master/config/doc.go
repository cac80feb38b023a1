// Package config is what the operator asked for, as values: addresses, counts,
// times, limits, paths.
//
// It promises
//   - that everything which Parse* accepts prints itself again with String, and
//     parses to the same value;
//   - that Validate finds all problems at once, so that nobody corrects a file
//     one error at a time; each problem is one line that says what, the value,
//     why, and what to do.
//
// It does not read files, flags or the environment, and it does not look at the
// machine: `workers = auto` stays 0 until somebody who may ask the kernel
// resolves it. A configuration that is valid here can still fail to bind.
//
//	flag, file, environment ──ParseX──► Config ──Validate──► the parts of the master
//
// The package is pure: no I/O, no clock, no goroutines. Its values may be copied
// freely and read from several goroutines.
package config
