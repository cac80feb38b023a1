// Package conformance has what tests of HTTP compare with net/http's server: the cases,
// and what that server makes of them.
package conformance
