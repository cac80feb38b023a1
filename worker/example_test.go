package worker_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"

	"github.com/valyala/fasthttp"

	"prefork/worker"
	"prefork/worker/proto"
	"prefork/worker/reactor"
)

// Without output they are compiled and not run: Main does not return. The programs
// in examples/ are the same, and a test runs each of them.

func ExampleMain() {
	worker.Main(func(w *worker.Worker) error {
		http.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(rw, "slot %d answers\n", w.Slot())
		})
		return w.ServeHTTP(http.DefaultServeMux)
	})
}

// What stands before ServeHTTP is the worker's start: an error rolls a reload back.
// What stands behind it comes after the last request.
func ExampleMain_start() {
	worker.Main(func(w *worker.Worker) error {
		books, err := sql.Open("postgres", "dbname=shop")
		if err != nil {
			return err
		}
		defer books.Close()
		if err := books.Ping(); err != nil {
			return fmt.Errorf("open the shop's books: %w", err)
		}
		return w.ServeHTTP(http.FileServer(http.Dir("/srv/shop")))
	})
}

func ExampleWorker_ServeFastHTTP() {
	worker.Main(func(w *worker.Worker) error {
		return w.ServeFastHTTP(func(ctx *fasthttp.RequestCtx) {
			fmt.Fprintf(ctx, "slot %d answers\n", w.Slot())
		})
	})
}

// Reports take seconds of a CPU, so a few of them at a time are made beside the loop.
func ExampleWorker_ServeFastHTTPAt() {
	worker.Main(func(w *worker.Worker) error {
		return w.ServeFastHTTPAt(func(ctx *fasthttp.RequestCtx) proto.Place {
			if bytes.HasPrefix(ctx.Path(), []byte("/report/")) {
				return proto.OnPool
			}
			return proto.OnLoop
		}, serveShop)
	})
}

func serveShop(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("shop\n") }

// upperCase answers each line with itself, louder.
type upperCase struct{}

func (upperCase) Handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	line, _, whole := bytes.Cut(in, []byte("\n"))
	if !whole {
		return 0, out, reactor.Header // the same bytes come again, with more behind them
	}
	return len(line) + 1, append(append(out, bytes.ToUpper(line)...), '\n'), reactor.Idle
}

func ExampleWorker_Serve() {
	worker.Main(func(w *worker.Worker) error {
		return w.Serve(func(*reactor.Loop) reactor.Handler { return upperCase{} })
	})
}
