package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"prefork/bench/load"
)

func TestRun(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprintln(w, "hi") // a client that left is the client's loss
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string // parts
	}{
		"all answered":     {args: []string{"-rate", "50", "-duration", "100ms", addr}, code: exitDone, stdout: "5 answered, 0 lost"},
		"keep-alive":       {args: []string{"-rate", "50", "-duration", "100ms", "-mode", "keepalive", addr}, code: exitDone, stdout: "mode keepalive"},
		"closed loop":      {args: []string{"-rate", "0", "-clients", "2", "-duration", "100ms", addr}, code: exitDone, stdout: " 0 lost"},
		"JSON":             {args: []string{"-json", "-rate", "50", "-duration", "100ms", addr}, code: exitDone, stdout: `"answered": 5`},
		"some lost":        {args: []string{"-rate", "50", "-duration", "100ms", "-path", "/other", addr}, code: exitLost, stdout: "failed bad_answer: 5"},
		"help":             {args: []string{"-h"}, code: exitDone, stderr: "usage: load"},
		"unknown flag":     {args: []string{"-x", addr}, code: exitUsage, stderr: "-x"},
		"no address":       {code: exitUsage, stderr: "0 addresses given: give one"},
		"not this machine": {args: []string{"192.0.2.1:80"}, code: exitUsage, stderr: "not a loopback address"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(t.Context(), test.args, &stdout, &stderr); code != test.code {
				t.Errorf("exit code: got %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("want %q on stdout and %q on stderr, got\n%s\n%s", test.stdout, test.stderr, stdout.String(), stderr.String())
			}
		})
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := write(&out, load.Report{Scheduled: 3}, true); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got["scheduled"] != 3.0 {
		t.Errorf("got %v, %v", got, err)
	}
}
