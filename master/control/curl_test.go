package control

import (
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestCurl shows what people do without our client.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed here")
	}
	s := startServer(t, newFakeBackend(), nil)
	s.backend.Publish(Event{Message: "a worker is ready", Level: "info"})
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"status", []string{"http://prefork/v1/status"}, http.StatusOK, `"name":"web"`},
		{"reload", []string{"-X", "POST", "http://prefork/v1/reload"}, http.StatusOK, `"result":"ok"`},
		{"reload with a time", []string{"-d", `{"timeout_seconds":30}`, "http://prefork/v1/reload"}, http.StatusOK, `"result":"ok"`},
		{"upload", []string{"-T", "/proc/self/exe", "-X", "POST", "http://prefork/v1/reload"}, http.StatusRequestEntityTooLarge, `larger than 4096 bytes`},
		{"mistyped", []string{"http://prefork/v1/stats"}, http.StatusNotFound, `did you mean /v1/status?`},
		{"head", []string{"-I", "http://prefork/healthz"}, http.StatusMethodNotAllowed, "Allow: GET"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--silent", "--show-error", "--unix-socket", s.path, "--write-out", " %{http_code}"}, tc.args...)
			out, err := exec.CommandContext(t.Context(), curl, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), tc.want) || !strings.HasSuffix(string(out), " "+strconv.Itoa(tc.status)) {
				t.Errorf("got %q, %v, want %s and %d", out, err, tc.want, tc.status)
			}
		})
	}
	t.Run("events", func(t *testing.T) { // not parallel: it ends when the hub does
		var out strings.Builder
		cmd := exec.CommandContext(t.Context(), curl, "--silent", "--no-buffer", "--unix-socket", s.path, "http://prefork/v1/events?since=1h")
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "curl follows", func() bool { return s.followers.count() == 1 })
		s.backend.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(out.String(), `data: {"time":"`) || !strings.Contains(out.String(), `"message":"a worker is ready","level":"info"}`+"\n\n") {
			t.Errorf("got %q", out.String())
		}
	})
}
