package proto

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

// afterwards is sent behind every stream once more: who sees it has the same idea
// of where the message before it ended.
const afterwards = "GET /afterwards HTTP/1.1\r\nHost: afterwards\r\n\r\n"

// FuzzAgainstNetHTTP: our application sees no request that net/http's would not
// see, and each as net/http's would: method, target, fields, body, and where the
// next one begins. It may see fewer, see testdata/conformance/stricter.txt.
func FuzzAgainstNetHTTP(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add(c.input)
	}
	f.Fuzz(func(t *testing.T, input string) {
		if len(input) > 64<<10 {
			return // net/http waits before it closes on a header beyond its limit
		}
		checkAgainstNetHTTP(t, input)
		checkAgainstNetHTTP(t, input+afterwards)
	})
}

// checkAgainstNetHTTP returns what both have made of input.
func checkAgainstNetHTTP(t rapid.TB, input string) (ours, theirs understood) {
	t.Helper()
	ours, theirs = byUs(t, input), byNetHTTP(t, input)
	for i, got := range ours.requests {
		if i == len(theirs.requests) {
			t.Fatalf("input %q\nwe accept %s\nnet/http does not, it answers\n%s", input, got, theirs.out)
		}
		if want := theirs.requests[i]; got != want {
			t.Fatalf("input %q\ngot  %s\nwant %s", input, got, want)
		}
	}
	return ours, theirs
}

// TestAgainstNetHTTPShuffled builds streams of the pieces of all cases: a mutation
// of bytes seldom gets as far as the second request.
func TestAgainstNetHTTPShuffled(t *testing.T) {
	t.Parallel()
	p := takeApart(readCases(t))
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
		checkAgainstNetHTTP(r, input.String()+afterwards)
	})
}

// pieces are what requests are made of.
type pieces struct{ methods, targets, versions, fields, rest []string }

func takeApart(cases []conformanceCase) pieces {
	var p pieces
	for _, c := range cases {
		header, body, _ := strings.Cut(c.input, "\r\n\r\n")
		parts := strings.SplitAfter(header+"\r\n", "\r\n")
		words := strings.SplitAfter(parts[0], " ")
		if len(c.input) > 1<<10 || len(words) != 3 {
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
	for _, c := range readCases(t) {
		checkAgainstNetHTTP(t, c.input)
		ours, theirs := checkAgainstNetHTTP(t, c.input+afterwards)
		if len(ours.requests) == len(theirs.requests) {
			if c.why != "" {
				t.Errorf("%s: we are no stricter than net/http; cases.txt says why we are: %s", c.name, c.why)
			}
			continue
		}
		if c.why == "" {
			t.Errorf("%s: we are stricter than net/http, and cases.txt does not say why; we answer\n%s\nnet/http's application sees\n%s",
				c.name, withoutDates(ours.out), strings.Join(theirs.requests, "\n"))
		}
		status, _, _ := strings.Cut(ours.out[max(strings.LastIndex(ours.out, "HTTP/1.1 "), 0):], "\r\n")
		fmt.Fprintf(&stricter, "\n%s\n%s\twe %s\n\twhy %s\n", c.name, c.source, status, c.why)
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
// random, always. The small limits are met by many of the cases.
func TestHTTPSplitEverywhere(t *testing.T) {
	t.Parallel()
	for _, config := range []HTTPConfig{{}, {MaxHeader: 256, MaxBody: 64}} {
		for _, c := range readCases(t) {
			t.Run(fmt.Sprintf("%s, limit %d", c.name, config.MaxHeader), func(t *testing.T) {
				t.Parallel()
				splitEverywhere(t, config, c.input+afterwards)
			})
		}
	}
}

func splitEverywhere(t *testing.T, config HTTPConfig, input string) {
	config.App = mirror
	h := NewHTTP(config)
	whole, bytewise := converseWith(t, h).feed(input), converseWith(t, h)
	const near = 600 // the middle of a long line is like the rest of it
	for cut := range len(input) {
		bytewise.feed(input[cut : cut+1])
		if cut < near || cut > len(input)-near {
			compare(t, "in two pieces", converseWith(t, h).feed(input[:cut]).feed(input[cut:]), whole)
		}
	}
	compare(t, "byte by byte", bytewise, whole)
}

// What one connection has sent so far is no matter to another, although they share
// fasthttp's objects.
func TestHTTPConnectionsDoNotMixInAnyCase(t *testing.T) {
	t.Parallel()
	h := NewHTTP(HTTPConfig{App: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(describeOurs(ctx)) }})
	cases := readCases(t)
	whole := make([]*conversation, len(cases))
	for i, c := range cases {
		whole[i] = converse(t, h.config).feed(c.input)
	}
	for i, c := range cases {
		at := len(c.input)
		if header := strings.Index(c.input, "\r\n\r\n"); header >= 0 {
			at = min(at, header+5) // the header, and a little more
		}
		slow := converseWith(t, h).feed(c.input[:at])
		other := (i * 7) % len(cases)
		compare(t, cases[other].name+", within "+c.name, converseWith(t, h).feed(cases[other].input), whole[other])
		compare(t, c.name+", around "+cases[other].name, slow.feed(c.input[at:]), whole[i])
	}
}

// conformanceCase is one stanza of testdata/conformance/cases.txt.
type conformanceCase struct {
	name, input string
	why         string // we are stricter than net/http
	source      string // the lines of the input, as they stand in the file
}

func readCases(t testing.TB) []conformanceCase {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "conformance", "cases.txt"))
	must(t, err)
	var cases []conformanceCase
	for line := range strings.Lines(string(content)) {
		text, inside := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case text == "" || text[0] == '#':
		case !inside:
			cases = append(cases, conformanceCase{name: text})
		case len(cases) == 0:
			t.Fatalf("cases.txt: no name before %s", text)
		default:
			must(t, cases[len(cases)-1].add(text))
		}
	}
	return cases
}

// add reads one line of a stanza: a string, a string*n, or the reason.
func (c *conformanceCase) add(text string) error {
	if why, ok := strings.CutPrefix(text, "why "); ok {
		c.why = why
		return nil
	}
	c.source += "\t" + text + "\n"
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return fmt.Errorf("case %q: read %s: %w", c.name, text, err)
	}
	piece, err := strconv.Unquote(quoted)
	if err != nil {
		return fmt.Errorf("case %q: read %s: %w", c.name, text, err)
	}
	n := 1
	if times, ok := strings.CutPrefix(text[len(quoted):], "*"); ok {
		if n, err = strconv.Atoi(times); err != nil {
			return fmt.Errorf("case %q: read %s: %w", c.name, text, err)
		}
	}
	c.input += strings.Repeat(piece, n)
	return nil
}
