// Package trials is tests only: a service of four workers is hurt while it serves,
// and what its clients lose by that is counted. There is no code to import.
//
//	shrink_test.go   fewer workers and more again, also where they are dead
//	handover_test.go connections that clients keep, through reloads and fewer workers
//	silent_test.go   fewer workers while clients have not spoken yet
//	kill_test.go     a worker is killed, and the next one, and the next one
//	hang_test.go     a worker stands still: stopped, in an endless loop, asleep
//	low_test.go      reloads and kills while hardly anybody comes
//	spread_test.go   everybody gets his share, also afterwards
//	wake_test.go     a worker is hit between its wake-up and its accept
//	storm_test.go    all of it at random
//	rest_test.go     afterwards nobody works for nothing and nothing is left open
//
// What they promise: each trial judges by counts that do not depend on the speed
// of the machine. Where a time is judged, it is one that a healthy service misses
// by nothing but a lost wake-up or a forgotten queue (250 ms, a second), and what
// the machine itself stood still meanwhile is taken off: see pauses_test.go.
// What they do not: percentiles are printed and not judged, that is a bench's work.
//
// Two sizes: the short one is part of `go test ./...`; the full one, some minutes,
// is
//
//	go test ./internal/trials -full -v -timeout 10m
//
// Every random choice comes from -seed, which a failure prints. Trials that judge
// times run alone; those that only count run beside each other.
//
// Goroutines: each test waits for those that it starts. The ones that watch the
// machine for pauses have a thread each, which ends with them.
package trials
