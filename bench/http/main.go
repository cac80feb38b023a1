package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// ^C ends the measurement at hand; what was started is then ended in order.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	os.Exit(code)
}
