// The gnet command answers whatever it reads with one HTTP answer, by gnet's event
// loop, and does not parse it. With "close" it closes after each answer:
//
//	gnet ADDR BODY [close]
package main

import (
	"fmt"
	"os"

	"github.com/panjf2000/gnet/v2"
)

// fixed has one answer for everything.
type fixed struct {
	gnet.BuiltinEventEngine
	answer []byte
	after  gnet.Action
}

func (f *fixed) OnTraffic(c gnet.Conn) gnet.Action {
	// A request of the benchmark comes in one piece. Neither error matters: of a
	// connection that has broken gnet takes care itself.
	_, _ = c.Discard(-1)
	_, _ = c.Write(f.answer)
	return f.after
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: gnet ADDR BODY [close]")
		os.Exit(2)
	}
	body := os.Args[2]
	// The date stands still: that it has the length of one is all that counts.
	handler := &fixed{answer: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Sat, 28 Nov 2026 12:00:00 GMT\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(body), body)}
	if len(os.Args) > 3 {
		handler.after = gnet.Close
	}
	err := gnet.Run(handler, "tcp4://"+os.Args[1], gnet.WithNumEventLoop(1), gnet.WithReusePort(true))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
