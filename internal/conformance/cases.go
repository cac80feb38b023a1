package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Afterwards is sent behind every stream once more: who sees it has the same idea
// of where the message before it ended.
const Afterwards = "GET /afterwards HTTP/1.1\r\nHost: afterwards\r\n\r\n"

// Case is one stanza of worker/proto/testdata/conformance/cases.txt: what a client
// sends.
type Case struct {
	Name, Input string
	Why         string // we are stricter than net/http
	Source      string // the lines of the input, as they stand in the file
}

// ReadCases reads them all.
func ReadCases(t testing.TB) []Case {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(here), "..", "..", "worker", "proto", "testdata", "conformance", "cases.txt")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []Case
	for line := range strings.Lines(string(content)) {
		text, inside := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case text == "" || text[0] == '#':
		case !inside:
			cases = append(cases, Case{Name: text})
		case len(cases) == 0:
			t.Fatalf("cases.txt: no name before %s", text)
		default:
			if err := cases[len(cases)-1].add(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	return cases
}

// add reads one line of a stanza: a string, a string*n, or the reason.
func (c *Case) add(text string) error {
	if why, ok := strings.CutPrefix(text, "why "); ok {
		c.Why = why
		return nil
	}
	c.Source += "\t" + text + "\n"
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return fmt.Errorf("case %q: read %s: %w", c.Name, text, err)
	}
	piece, err := strconv.Unquote(quoted)
	if err != nil {
		return fmt.Errorf("case %q: read %s: %w", c.Name, text, err)
	}
	n := 1
	if times, ok := strings.CutPrefix(text[len(quoted):], "*"); ok {
		if n, err = strconv.Atoi(times); err != nil {
			return fmt.Errorf("case %q: read %s: %w", c.Name, text, err)
		}
	}
	c.Input += strings.Repeat(piece, n)
	return nil
}
