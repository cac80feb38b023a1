// Command selfhosted is a Go server that is its own master: the whole command
// prefork, with one app.
//
//	go build ./examples/selfhosted
//	./selfhosted run --workers 4
//	./selfhosted status
package main

import (
	"fmt"
	"net/http"
	"os"

	"prefork/cmd/cli"
	"prefork/worker"
)

func main() {
	os.Exit(cli.Main(func(w *worker.Worker) error {
		return w.ServeHTTP(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(rw, "hello from slot %d generation %d pid %d\n", w.Slot(), w.Generation(), os.Getpid())
		}))
	}))
}
