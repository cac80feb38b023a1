package control

import (
	"slices"
	"testing"

	"prefork/master/config"
)

// FuzzCommand holds the reader of commands to its promise: what it accepts is in
// bounds and can be written and read again; what it refuses, it refuses in one
// line.
func FuzzCommand(f *testing.F) {
	verbs := []Verb{Reload, Scale, Upgrade, Stop, Reopen}
	for i := range verbs {
		for _, body := range []string{
			``, `{}`, `null`, `[]`, `{"timeout_seconds":30}`, `{"timeout_seconds":1e-300}`, `{"workers":"+1"}`, `{"workers":"4","workers":"5"}`,
			`{"now":true}`, `{"now":null}`, "{\"\\u0000\x7f\":1}", `{"timeout_seconds":{"a":[1,` + "\n" + `2]}}`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		verb := verbs[int(which)%len(verbs)]
		got, err := parseCommand(verb, body)
		if err != nil {
			checkOneLine(t, err.Error())
			return
		}
		if got.Verb != verb || got.Timeout < 0 || got.Timeout > config.TimeoutMax || len(got.Workers) > 5 {
			t.Errorf("%q gives %+v", body, got)
		}
		if got.Timeout != 0 && !slices.Contains(verbKeys[verb], timeoutKey) {
			t.Errorf("%q gives %+v, and %s takes no time", body, got, verb)
		}
		written, err := got.body()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseCommand(verb, written); err != nil || again != got {
			t.Errorf("%+v written as %q gives %+v, %v", got, written, again, err)
		}
	})
}

func FuzzSince(f *testing.F) {
	for _, query := range []string{"", "since=10s", "since=-1s", "since=", "since=%zz", "a=b&since=1s", "since=1s&since=2s", "since=9999999h"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		since, err := parseSince(query)
		if err != nil {
			checkOneLine(t, err.Error())
		}
		if since < 0 || since > config.TimeoutMax {
			t.Errorf("%q gives %s", query, since)
		}
	})
}
