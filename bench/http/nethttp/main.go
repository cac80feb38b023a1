// The nethttp command answers every request with one body, by net/http:
//
//	nethttp ADDR BODY
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: nethttp ADDR BODY")
		os.Exit(2)
	}
	body := []byte(os.Args[2])
	length := strconv.Itoa(len(body))
	err := http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Length", length)
		_, _ = w.Write(body) // a client that has gone is nobody's concern
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
