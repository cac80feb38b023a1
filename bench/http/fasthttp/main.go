// The fasthttp command answers every request with one body, by fasthttp's server:
//
//	fasthttp ADDR BODY
package main

import (
	"fmt"
	"os"

	"github.com/valyala/fasthttp"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fasthttp ADDR BODY")
		os.Exit(2)
	}
	body := []byte(os.Args[2])
	server := fasthttp.Server{
		NoDefaultServerHeader: true, // the others send none that long
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("text/plain; charset=utf-8")
			ctx.Response.SetBodyRaw(body)
		},
	}
	fmt.Fprintln(os.Stderr, server.ListenAndServe(os.Args[1]))
	os.Exit(1)
}
