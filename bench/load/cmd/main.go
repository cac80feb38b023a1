// The load command sends requests at a fixed rate to a server on this machine
// and reports what became of each:
//
//	go run ./bench/load/cmd -rate 3000 -duration 10s 127.0.0.1:8080
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	// ^C ends the schedule, not the count: the report of what was sent follows.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
