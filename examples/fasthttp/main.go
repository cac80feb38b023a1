// Command fasthttp is a fasthttp handler as a worker of prefork, on its event loop.
//
//	go build ./examples/fasthttp
//	prefork run -- ./fasthttp
package main

import (
	"fmt"
	"os"

	"github.com/valyala/fasthttp"

	"prefork/worker"
)

func main() {
	worker.Main(func(w *worker.Worker) error {
		return w.ServeFastHTTP(func(ctx *fasthttp.RequestCtx) {
			fmt.Fprintf(ctx, "hello from slot %d generation %d pid %d\n", w.Slot(), w.Generation(), os.Getpid())
		})
	})
}
