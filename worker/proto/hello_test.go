package proto

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"prefork/worker/reactor"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata; read the diff before you believe it")

// What a client sees, byte by byte (but for the date).
func TestHelloGolden(t *testing.T) {
	t.Parallel()
	hello := Hello{Slot: 2, Incarnation: 5, Generation: 3, PID: 4242}
	for _, test := range []struct {
		name, request string
		identity      string
	}{
		{name: "get", request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "get-query", request: "GET /?a=b HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "get-absolute", request: "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "get-identified", request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", identity: hello.Identity()},
		{name: "get-close", request: "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{name: "get-1.0", request: "GET / HTTP/1.0\r\n\r\n"},
		{name: "get-1.0-keep-alive", request: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
		{name: "head", request: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "not-found", request: "GET /a%0d%0ab?c HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "method-not-allowed", request: "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{name: "bad-request", request: "nonsense\r\n\r\n", identity: hello.Identity()},
		{name: "header-too-large", request: "GET /" + string(make([]byte, MaxHeaderDefault))},
		{name: "body-too-large", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n"},
		{name: "continue", request: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := converse(t, HTTPConfig{App: hello.Answers().App(), Identity: test.identity}).feed(test.request)
			got := c.answers()
			path := filepath.Join("testdata", "hello", test.name+".http")
			if *update {
				mustWrite(t, path, got)
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("read golden file (make it with -update): %v", err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	consumed, out, next := Echo{}.Handle([]byte("abc"), []byte("x"))
	if consumed != 3 || string(out) != "xabc" || next != reactor.Idle {
		t.Errorf("got %d, %q, %v", consumed, out, next)
	}
}

func mustWrite(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}
