package proto

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"prefork/internal/conformance"
)

// FuzzAgainstNetHTTP: our application sees no request that net/http's would not
// see, and each as net/http's would: method, target, fields, body, and where the
// next one begins. It may see fewer, see testdata/conformance/stricter.txt.
func FuzzAgainstNetHTTP(f *testing.F) {
	for _, c := range conformance.ReadCases(f) {
		f.Add(c.Input)
	}
	f.Fuzz(func(t *testing.T, input string) {
		if len(input) > 64<<10 {
			return // net/http waits before it closes on a header beyond its limit
		}
		checkAgainstNetHTTP(t, input)
		checkAgainstNetHTTP(t, input+conformance.Afterwards)
	})
}

// checkAgainstNetHTTP returns what both have made of input.
func checkAgainstNetHTTP(t rapid.TB, input string) (ours, theirs conformance.Understood) {
	t.Helper()
	ours, theirs = byUs(t, input), conformance.ByNetHTTP(t, input)
	for i, got := range ours.Requests {
		if i == len(theirs.Requests) {
			t.Fatalf("input %q\nwe accept %s\nnet/http does not, it answers\n%s", input, got, theirs.Out)
		}
		if want := theirs.Requests[i]; got != want {
			t.Fatalf("input %q\ngot  %s\nwant %s", input, got, want)
		}
	}
	return ours, theirs
}

// TestAgainstNetHTTPShuffled builds streams of the pieces of all cases: a mutation
// of bytes seldom gets as far as the second request.
func TestAgainstNetHTTPShuffled(t *testing.T) {
	t.Parallel()
	p := takeApart(conformance.ReadCases(t))
	rapid.Check(t, func(r *rapid.T) {
		var input strings.Builder
		draw := func(what string, from []string, atMost int) {
			for range rapid.IntRange(0, atMost).Draw(r, what+"s") {
				input.WriteString(rapid.SampledFrom(from).Draw(r, what))
			}
		}
		for range rapid.IntRange(1, 3).Draw(r, "requests") {
			for _, part := range [][]string{p.methods, p.targets, p.versions} {
				input.WriteString(rapid.SampledFrom(part).Draw(r, "part"))
			}
			draw("host", []string{"Host: a\r\n"}, 1)
			draw("field", p.fields, 3)
			input.WriteString("\r\n")
			draw("line", p.rest, 4)
		}
		checkAgainstNetHTTP(r, input.String())
		checkAgainstNetHTTP(r, input.String()+conformance.Afterwards)
	})
}

// pieces are what requests are made of.
type pieces struct{ methods, targets, versions, fields, rest []string }

func takeApart(cases []conformance.Case) pieces {
	var p pieces
	for _, c := range cases {
		header, body, _ := strings.Cut(c.Input, "\r\n\r\n")
		parts := strings.SplitAfter(header+"\r\n", "\r\n")
		words := strings.SplitAfter(parts[0], " ")
		if len(c.Input) > 1<<10 || len(words) != 3 {
			continue // limits are not the matter here
		}
		p.methods = append(p.methods, words[0], "GET ", "POST ")
		p.targets = append(p.targets, words[1])
		p.versions = append(p.versions, words[2], "HTTP/1.0\r\n", "HTTP/1.1\r\n")
		p.fields = append(p.fields, parts[1:]...)
		p.rest = append(p.rest, strings.SplitAfter(body, "\r\n")...)
	}
	return p
}

// TestStricterThanNetHTTP writes down where we refuse what net/http accepts.
func TestStricterThanNetHTTP(t *testing.T) {
	t.Parallel()
	var stricter strings.Builder
	stricter.WriteString("# Where this package refuses what net/http's server accepts, and why. Written by\n" +
		"# TestStricterThanNetHTTP from cases.txt; a change here is a change of behaviour.\n")
	for _, c := range conformance.ReadCases(t) {
		checkAgainstNetHTTP(t, c.Input)
		ours, theirs := checkAgainstNetHTTP(t, c.Input+conformance.Afterwards)
		if len(ours.Requests) == len(theirs.Requests) {
			if c.Why != "" {
				t.Errorf("%s: we are no stricter than net/http; cases.txt says why we are: %s", c.Name, c.Why)
			}
			continue
		}
		if c.Why == "" {
			t.Errorf("%s: we are stricter than net/http, and cases.txt does not say why; we answer\n%s\nnet/http's application sees\n%s",
				c.Name, withoutDates(ours.Out), strings.Join(theirs.Requests, "\n"))
		}
		status, _, _ := strings.Cut(ours.Out[max(strings.LastIndex(ours.Out, "HTTP/1.1 "), 0):], "\r\n")
		fmt.Fprintf(&stricter, "\n%s\n%s\twe %s\n\twhy %s\n", c.Name, c.Source, status, c.Why)
	}
	path := filepath.Join("testdata", "conformance", "stricter.txt")
	if *update {
		mustWrite(t, path, stricter.String())
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (make it with -update): %v", err)
	}
	if got := stricter.String(); got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestHTTPSplitEverywhere cuts every case at every place: what the fuzzer does at
// random, always. The small limits are met by many of the cases. It makes no difference
// whether the connection is handed over there.
func TestHTTPSplitEverywhere(t *testing.T) {
	t.Parallel()
	for _, config := range []HTTPConfig{{}, {MaxHeader: 256, MaxBody: 64}} {
		for _, c := range conformance.ReadCases(t) {
			t.Run(fmt.Sprintf("%s, limit %d", c.Name, config.MaxHeader), func(t *testing.T) {
				t.Parallel()
				splitEverywhere(t, config, c.Input+conformance.Afterwards)
			})
		}
	}
}

func splitEverywhere(t *testing.T, config HTTPConfig, input string) {
	config.App = mirror
	h := NewHTTP(config)
	whole, bytewise, restless := converseWith(t, h).feed(input), converseWith(t, h), converseWith(t, h)
	const near = 600 // the middle of a long line is like the rest of it
	for cut := range len(input) {
		bytewise.feed(input[cut : cut+1])
		restless.feed(input[cut : cut+1]).handOver(h)
		if cut < near || cut > len(input)-near {
			compare(t, "in two pieces", converseWith(t, h).feed(input[:cut]).feed(input[cut:]), whole)
			compare(t, "handed over", converseWith(t, h).feed(input[:cut]).handOver(h).feed(input[cut:]), whole)
		}
	}
	compare(t, "byte by byte", bytewise, whole)
	compare(t, "handed over at each byte", restless, whole)
}

// What one connection has sent so far is no matter to another, although they share
// fasthttp's objects.
func TestHTTPConnectionsDoNotMixInAnyCase(t *testing.T) {
	t.Parallel()
	h := NewHTTP(HTTPConfig{App: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(conformance.Describe(ctx)) }})
	cases := conformance.ReadCases(t)
	whole := make([]*conversation, len(cases))
	for i, c := range cases {
		whole[i] = converse(t, h.config).feed(c.Input)
	}
	for i, c := range cases {
		at := len(c.Input)
		if header := strings.Index(c.Input, "\r\n\r\n"); header >= 0 {
			at = min(at, header+5) // the header, and a little more
		}
		slow := converseWith(t, h).feed(c.Input[:at])
		other := (i * 7) % len(cases)
		compare(t, cases[other].Name+", within "+c.Name, converseWith(t, h).feed(cases[other].Input), whole[other])
		compare(t, c.Name+", around "+cases[other].Name, slow.feed(c.Input[at:]), whole[i])
	}
}

// byUs lets an HTTP read input, in one piece.
func byUs(t rapid.TB, input string) conformance.Understood {
	t.Helper()
	var u conformance.Understood
	c := converse(t, HTTPConfig{App: func(ctx *fasthttp.RequestCtx) {
		u.Requests = append(u.Requests, conformance.Describe(ctx))
	}}).feed(input)
	u.Out = string(c.out)
	return u
}
