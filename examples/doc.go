// Package examples is small real workers in several languages, and the tests that
// start each of them. Read
//
//	gohttp/       net/http
//	fasthttp/     fasthttp on the event loop
//	lineecho/     a protocol of its own on the event loop
//	selfhosted/   a Go server that is its own master
//	python/       sync, threads, coroutines: the standard library only
//	node/         http, listen({fd: 3})
//	sh/           the smallest worker: a shell script that answers
package examples
