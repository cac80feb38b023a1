package proto

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"prefork/internal/conformance"
)

// FuzzHTTPSplit: however the network cuts the input, the answers are the same
// as when it comes at once.
func FuzzHTTPSplit(f *testing.F) {
	for _, c := range conformance.ReadCases(f) {
		f.Add(c.Input, uint16(7))
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
	for _, c := range conformance.ReadCases(f) {
		f.Add(c.Input)
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
