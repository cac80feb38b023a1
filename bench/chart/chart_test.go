package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var madeUp = Table{
	Title:  "Lost requests",
	Header: []string{"server", "answered", "p99"},
	Rows:   [][]string{{"prefork", "20000", "1.2 ms"}, {"a|b", "7"}, {"größer", "19", "µ"}},
	Notes:  []string{"nginx is left out: not installed"},
}

func TestTableText(t *testing.T) {
	t.Parallel()
	want := "Lost requests\n" +
		"  server   answered     p99\n" +
		"  prefork     20000  1.2 ms\n" +
		"  a|b             7\n" +
		"  größer         19       µ\n" +
		"  nginx is left out: not installed\n"
	if got := madeUp.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTableMarkdown(t *testing.T) {
	t.Parallel()
	want := "### Lost requests\n\n" +
		"| server | answered | p99 |\n" +
		"| --- | ---: | ---: |\n" +
		"| prefork | 20000 | 1.2 ms |\n" +
		"| a\\|b | 7 |  |\n" +
		"| größer | 19 | µ |\n" +
		"\nnginx is left out: not installed\n"
	if got := madeUp.Markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A drawing is well-formed XML that holds the names and the values, and no number
// that is none.
func TestDrawings(t *testing.T) {
	t.Parallel()
	nothing := math.NaN()
	series := []Series{
		{Name: "keep-alive", Values: []float64{9.4, 11, nothing, 0}, Low: []float64{9, 10, nothing, 0}, High: []float64{10, 12.5, nothing, 0}},
		{Name: "close", Values: []float64{18.5, 1200, 34, 2}},
	}
	groups := []string{"prefork", "nginx", "gnet", "a <b> & c"}
	tests := map[string]struct {
		draw interface{ Write(path string) error }
		want []string
	}{
		"bars":           {draw: Bars{Title: "Cost", Unit: "µs", Groups: groups, Series: series}, want: []string{"Cost", "µs", "gnet", "keep-alive", "9.4", "n/a", "a &lt;b&gt; &amp; c"}},
		"bars, log":      {draw: Bars{Groups: groups, Series: series, Log: true}, want: []string{"1200", "10", "100"}},
		"lines":          {draw: Lines{Title: "Latency", Unit: "ms", Steps: groups, Series: series}, want: []string{"Latency", "keep-alive"}},
		"lines, log":     {draw: Lines{Steps: groups, Series: series, Log: true}, want: []string{"1000"}},
		"only zeros":     {draw: Bars{Groups: []string{"a"}, Series: []Series{{Values: []float64{0}}}}, want: []string{"a"}},
		"only zeros log": {draw: Lines{Steps: []string{"a"}, Series: []Series{{Values: []float64{0}}}, Log: true}, want: []string{"a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "drawing.svg")
			if err := test.draw.Write(path); err != nil {
				t.Fatal(err)
			}
			text := readXML(t, path)
			for _, part := range test.want {
				if !strings.Contains(text, part) {
					t.Errorf("the drawing lacks %q", part)
				}
			}
			for _, broken := range []string{"NaN", "Inf"} {
				if strings.Contains(text, broken) {
					t.Errorf("the drawing has a coordinate %s", broken)
				}
			}
		})
	}
}

func readXML(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(string(text))); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return string(text)
		} else if err != nil {
			t.Fatalf("the drawing is no XML: %v", err)
		}
	}
}

func TestDrawingsRefuse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "drawing.svg")
	short := []Series{{Name: "one", Values: []float64{1}}}
	ragged := []Series{{Name: "two", Values: []float64{1, 2}, Low: []float64{1}}}
	for _, err := range []error{
		Bars{Groups: []string{"a", "b"}, Series: short}.Write(path),
		Lines{Steps: []string{"a", "b"}, Series: ragged}.Write(path),
	} {
		if err == nil || !strings.Contains(err.Error(), "2 groups") {
			t.Errorf("got %v, want an error that names the number of groups", err)
		}
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 3: "3", 0.123: "0.12", 9.44: "9.4", 34.56: "34.6", 1234.5: "1234", 2e7: "20000000"} {
		if got := short(v); got != want {
			t.Errorf("short(%v): got %q, want %q", v, got, want)
		}
	}
}

// A subject keeps its color also where another one is left out.
func TestColorIsKept(t *testing.T) {
	t.Parallel()
	if got := (Series{Color: 3}).color(0); got != palette[2] {
		t.Errorf("color 3 of the first: got %v, want %v", got, palette[2])
	}
	if got := (Series{}).color(4); got != palette[4] {
		t.Errorf("no color of the fifth: got %v, want %v", got, palette[4])
	}
	path := filepath.Join(t.TempDir(), "a.svg")
	lines := Lines{Steps: []string{"a", "b"}, Series: []Series{{Name: "x", Values: []float64{1, 2}, Color: 7}}}
	if err := lines.Write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "#7A7F87") || strings.Contains(string(text), "#0072B2") {
		t.Errorf("want the seventh color and not the first (%v):\n%s", err, text)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	limits := []Limit{
		{Case: "hang", What: "lost", Got: "0", Most: "9", Holds: true},
		{Case: "hang", What: "p99", Got: "21 ms", Most: "20 ms", Soft: true},
		{Case: "idle", What: "bytes", Got: "300", Most: "256"},
	}
	want := "Limits\n" +
		"  case   what   seen  at most  verdict\n" +
		"  hang   lost      0        9    holds\n" +
		"  hang    p99  21 ms    20 ms   BROKEN\n" +
		"  idle  bytes    300      256   BROKEN\n"
	if got := Verdicts("Limits", limits).Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := Broken(limits, false); len(got) != 1 || got[0] != "idle: bytes 300, limit 256" {
		t.Errorf("broken: got %q, want the hard one", got)
	}
	if got := Broken(limits, true); len(got) != 2 {
		t.Errorf("broken, strict: got %q, want two", got)
	}
}
