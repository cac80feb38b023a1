package proto

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

var httpSeeds = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"\r\n\nGET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nrest",
	"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nxy",
	"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\nGET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nCONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"\x16\x03\x01\x02\x00\x01\x00",
}

// FuzzHTTPSplit: however the network cuts the input, the answers are the same
// as when it comes at once.
func FuzzHTTPSplit(f *testing.F) {
	for _, seed := range httpSeeds {
		f.Add(seed, uint16(7))
	}
	// Small limits, so that the fuzzer meets them.
	config := HTTPConfig{MaxHeader: 256, MaxBody: 64}
	f.Fuzz(func(t *testing.T, input string, cut uint16) {
		whole := converse(t, config).feed(input)

		bytewise := converse(t, config)
		for i := range len(input) {
			bytewise.feed(input[i : i+1])
		}
		compare(t, "byte by byte", bytewise, whole)

		at := 0
		if len(input) > 0 {
			at = int(cut) % len(input)
		}
		halved := converse(t, config).feed(input[:at]).feed(input[at:])
		compare(t, "in two pieces", halved, whole)
	})
}

func compare(t *testing.T, how string, got, want *conversation) {
	t.Helper()
	if got.answers() != want.answers() {
		t.Errorf("%s: got answers\n%q\nwant\n%q", how, got.answers(), want.answers())
	}
	if got.phase != want.phase {
		t.Errorf("%s: got phase %v, want %v", how, got.phase, want.phase)
	}
}

// FuzzHTTPAgainstStream: the application sees no request that fasthttp alone,
// reading the same bytes as a stream, would not see. It may see fewer, because
// we refuse what is ambiguous.
func FuzzHTTPAgainstStream(f *testing.F) {
	for _, seed := range httpSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		var got []string
		converse(t, HTTPConfig{App: func(ctx *fasthttp.RequestCtx) {
			got = append(got, describe(&ctx.Request))
		}}).feed(input)
		want := streamedRequests(input)
		if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			t.Errorf("got requests\n%q\nwant the first of\n%q", got, want)
		}
	})
}

func describe(request *fasthttp.Request) string {
	return fmt.Sprintf("%s %s %q", request.Header.Method(), request.Header.RequestURI(), request.Body())
}

// streamedRequests reads requests as fasthttp's own server does.
func streamedRequests(input string) []string {
	var requests []string
	stream := bufio.NewReaderSize(strings.NewReader(input), MaxHeaderDefault)
	for {
		var request fasthttp.Request
		if err := request.Header.Read(stream); err != nil {
			return requests
		}
		last := request.ConnectionClose()
		if err := request.ContinueReadBody(stream, MaxBodyDefault, false); err != nil {
			return requests
		}
		requests = append(requests, describe(&request))
		if last {
			return requests
		}
	}
}

// Every seed, cut at every place: what the fuzzer does at random, always.
func TestHTTPSplitEverywhere(t *testing.T) {
	t.Parallel()
	config := HTTPConfig{MaxHeader: 256, MaxBody: 64}
	for _, seed := range append(httpSeeds, strings.Repeat("x", 300), strings.Repeat("\r\n", 150)) {
		whole := converse(t, config).feed(seed)
		for cut := range len(seed) {
			compare(t, "in two pieces", converse(t, config).feed(seed[:cut]).feed(seed[cut:]), whole)
		}
	}
}

// A drip of single bytes costs linear work: frame remembers where it stopped.
func TestHTTPFrameDoesNotSearchTwice(t *testing.T) {
	t.Parallel()
	limit := limits{header: 1 << 20, body: 1 << 20}
	header := "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 1<<10)
	var f frame
	for i := range header {
		if v := f.findHeader([]byte(header[:i+1]), limit); v != incomplete {
			t.Fatalf("after %d bytes: got %v", i+1, v)
		}
		if behind := i + 1 - f.searched; behind > 3 {
			t.Fatalf("after %d bytes: %d bytes are searched again", i+1, behind)
		}
	}
}
