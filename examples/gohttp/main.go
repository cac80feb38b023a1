// Command gohttp is a net/http server as a worker of prefork.
//
//	go build ./examples/gohttp
//	prefork run -- ./gohttp
package main

import (
	"fmt"
	"net/http"
	"os"

	"prefork/worker"
)

func main() {
	worker.Main(func(w *worker.Worker) error {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(rw, "hello from slot %d generation %d pid %d\n", w.Slot(), w.Generation(), os.Getpid())
		})
		return w.ServeHTTP(mux)
	})
}
