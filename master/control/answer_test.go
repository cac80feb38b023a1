package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// request sends one request through net/http and gives its answer.
func request(t *testing.T, path, method, target, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://prefork"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := Dial(path).http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

func TestCommandsReachTheBackend(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		target, body string
		want         Command
	}{
		{"/v1/reload", ``, Command{Verb: Reload}},
		{"/v1/reload", `{}`, Command{Verb: Reload}},
		{"/v1/reload", `null`, Command{Verb: Reload}},
		{"/v1/reload", `{"timeout_seconds":1.5}`, Command{Verb: Reload, Timeout: 1500 * time.Millisecond}},
		{"/v1/upgrade", `{"timeout_seconds":30}`, Command{Verb: Upgrade, Timeout: 30 * time.Second}},
		{"/v1/scale", `{"workers":"4"}`, Command{Verb: Scale, Workers: "4"}},
		{"/v1/scale", `{"workers":"+1"}`, Command{Verb: Scale, Workers: "+1"}},
		{"/v1/scale", ` {"workers" : "-1"} `, Command{Verb: Scale, Workers: "-1"}},
		{"/v1/stop", `{"now":true}`, Command{Verb: Stop, Now: true}},
		{"/v1/stop", `{"now":false}`, Command{Verb: Stop}},
		{"/v1/reopen", ``, Command{Verb: Reopen}},
	} {
		t.Run(tc.target[4:]+tc.body, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, newFakeBackend(), nil)
			status, _, body := request(t, s.path, http.MethodPost, tc.target, tc.body)
			want := `{"result":"ok","error":"","seconds":0,"generation":2,"workers":4}` + "\n"
			if status != http.StatusOK || body != want {
				t.Errorf("got %d %s, want 200 %s", status, body, want)
			}
			if !slices.Equal(s.backend.asked, []Command{tc.want}) {
				t.Errorf("the backend was asked %+v, want %+v", s.backend.asked, tc.want)
			}
		})
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	for _, tc := range []struct {
		name, method, target, body string
		status                     int
		want                       string
	}{
		{"unknown path", "GET", "/", "", 404, `unknown path "/": try /v1/status`},
		{"mistyped path", "POST", "/v1/relaod", "", 404, `did you mean /v1/reload?`},
		{"path with a slash more", "GET", "/v1/status/", "", 404, `did you mean /v1/status?`},
		{"path with control characters", "GET", "/%0a%1b[31m", "", 404, `unknown path "/\n\x1b[31m"`},
		{"command by GET", "GET", "/v1/stop", "", 405, `/v1/stop takes POST, not "GET"`},
		{"question by POST", "POST", "/v1/status", "", 405, `/v1/status takes GET, not "POST"`},
		{"invented method", "BREW", "/v1/status", "", 405, `not "BREW"`},
		{"body of a question", "GET", "/v1/status", "{}", 400, `/v1/status takes no body`},
		{"not JSON", "POST", "/v1/reload", "now!", 400, `the body is not JSON (invalid character 'o' in literal null`},
		{"half JSON", "POST", "/v1/reload", `{"timeout_seconds":`, 400, `unexpected end of JSON input`},
		{"two values", "POST", "/v1/reload", `{} {}`, 400, `the body is not JSON`},
		{"not an object", "POST", "/v1/reload", `[1]`, 400, `not an object: reload takes an object with the key timeout_seconds`},
		{"mistyped key", "POST", "/v1/reload", `{"timeout_second":1}`, 400, `unknown key "timeout_second": did you mean "timeout_seconds"?`},
		{"key in capitals", "POST", "/v1/stop", `{"Now":true}`, 400, `unknown key "Now": did you mean "now"?`},
		{"key of another command", "POST", "/v1/reload", `{"now":true}`, 400, `unknown key "now": reload takes an object`},
		{"key where none is", "POST", "/v1/reopen", `{"all":true}`, 400, `reopen takes no keys, so leave the body out`},
		{"time of no length", "POST", "/v1/reload", `{"timeout_seconds":0}`, 400, `timeout_seconds is "0": write a number of seconds above 0`},
		{"time backwards", "POST", "/v1/reload", `{"timeout_seconds":-1}`, 400, `timeout_seconds is "-1"`},
		{"time without end", "POST", "/v1/reload", `{"timeout_seconds":1e300}`, 400, `up to 2592000`},
		{"time beyond numbers", "POST", "/v1/reload", `{"timeout_seconds":1e999}`, 400, `timeout_seconds is "1e999"`},
		{"time in words", "POST", "/v1/reload", `{"timeout_seconds":"30s"}`, 400, `write a number of seconds`},
		{"scale to nothing", "POST", "/v1/scale", ``, 400, `scale to how many?`},
		{"workers as a number", "POST", "/v1/scale", `{"workers":4}`, 400, `workers is "4": write a count in quotes like "4"`},
		{"workers in words", "POST", "/v1/scale", `{"workers":"many"}`, 400, `write a count in quotes`},
		{"workers far too many", "POST", "/v1/scale", `{"workers":"99999"}`, 400, `write a count in quotes`},
		{"two signs", "POST", "/v1/scale", `{"workers":"+-1"}`, 400, `write a count in quotes`},
		{"now in words", "POST", "/v1/stop", `{"now":"yes"}`, 400, `now is "\"yes\"": write true or false`},
		{"since in words", "GET", "/v1/events?since=today", "", 400, `since is "today": write a time like 10s`},
		{"since in the future", "GET", "/v1/events?since=-1s", "", 400, `since is "-1s"`},
		{"since for ever", "GET", "/v1/events?since=9999h", "", 400, `up to 720h0m0s`},
		{"unknown query", "GET", "/v1/events?sinse=1s", "", 400, `unknown key "sinse" in the query`},
		{"broken query", "GET", "/v1/events?since=%zz", "", 400, `cannot be read`},
		{"body too large", "POST", "/v1/reload", strings.Repeat(" ", bodyMax+1), 413, `the body is larger than 4096 bytes`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			status, header, body := request(t, s.path, tc.method, tc.target, tc.body)
			var answer Answer
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("%q is no Answer: %v", body, err)
			}
			if status != tc.status || answer.Result != ResultRefused || !strings.Contains(answer.Error, tc.want) {
				t.Errorf("got %d %+v\nwant %d refused … %s", status, answer, tc.status, tc.want)
			}
			if got := header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			if allow := header.Get("Allow"); (allow != "") != (tc.status == 405) {
				t.Errorf("Allow is %q with status %d", allow, status)
			}
			checkOneLine(t, answer.Error)
		})
	}
}

func TestBodyOfTheLargestSizeIsTaken(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	if status, _, body := request(t, s.path, http.MethodPost, "/v1/reload", "{"+strings.Repeat(" ", bodyMax-2)+"}"); status != http.StatusOK {
		t.Errorf("got %d %s, want 200", status, body)
	}
}

func TestResultsAndTheirStatus(t *testing.T) {
	t.Parallel()
	for result, want := range map[string]int{
		ResultOK: 200, ResultRefused: 400, ResultBusy: 409, ResultRolledBack: 500, ResultTimeout: 500, ResultFailed: 500, "unheard of": 500,
	} {
		t.Run(result, func(t *testing.T) {
			t.Parallel()
			backend := newFakeBackend()
			backend.do = func(context.Context, Command) (Answer, error) {
				return Answer{Result: result, Error: "slot 2 says <no> & exits", Seconds: 0.5, Generation: 7, Workers: 3}, nil
			}
			s := startServer(t, backend, nil)
			status, _, body := request(t, s.path, http.MethodPost, "/v1/reload", "")
			wantBody := `{"result":"` + result + `","error":"slot 2 says <no> & exits","seconds":0.5,"generation":7,"workers":3}` + "\n"
			if status != want || body != wantBody {
				t.Errorf("got %d %s, want %d %s", status, body, want, wantBody)
			}
		})
	}
}

func TestBackendErrorIsAnAnswer(t *testing.T) {
	t.Parallel()
	backend := newFakeBackend()
	backend.do = func(context.Context, Command) (Answer, error) { return Answer{}, errors.New("the loop has ended") }
	s := startServer(t, backend, nil)
	status, _, body := request(t, s.path, http.MethodPost, "/v1/stop", "")
	if want := `{"result":"failed","error":"stop: the loop has ended","seconds":0,"generation":0,"workers":0}` + "\n"; status != 500 || body != want {
		t.Errorf("got %d %s, want 500 %s", status, body, want)
	}
}

func TestPanicCostsOneRequest(t *testing.T) {
	t.Parallel()
	backend := newFakeBackend()
	backend.do = func(context.Context, Command) (Answer, error) { panic("planted") }
	s := startServer(t, backend, nil)
	status, _, body := request(t, s.path, http.MethodPost, "/v1/stop", "")
	if status != 500 || !strings.Contains(body, "a bug in the master ended this request") {
		t.Errorf("got %d %s", status, body)
	}
	if report := receive(t, "a report of the panic", s.reports); !strings.Contains(report, "planted") {
		t.Errorf("the report is %q", report)
	}
	if _, err := Dial(s.path).Status(t.Context()); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

func TestHealthAndReady(t *testing.T) {
	t.Parallel()
	for state, ready := range map[string]int{
		"starting": 503, "serving": 200, "reloading": 200, "upgrading": 200, "drained": 503, "degraded": 503, "stopping": 503,
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			backend := newFakeBackend()
			backend.state = state
			s := startServer(t, backend, nil)
			want := `{"state":"` + state + `"}` + "\n"
			if status, _, body := request(t, s.path, http.MethodGet, "/healthz", ""); status != 200 || body != want {
				t.Errorf("/healthz: %d %s, want 200 %s", status, body, want)
			}
			if status, _, body := request(t, s.path, http.MethodGet, "/readyz", ""); status != ready || body != want {
				t.Errorf("/readyz: %d %s, want %d %s", status, body, ready, want)
			}
		})
	}
}

// TestHealthOfALoopThatHangs plants a backend that never answers.
func TestHealthOfALoopThatHangs(t *testing.T) {
	t.Parallel()
	backend := newFakeBackend()
	backend.atState = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	s := startServer(t, backend, func(l *limits) { l.health = time.Millisecond })
	for _, target := range []string{"/healthz", "/readyz"} {
		status, _, body := request(t, s.path, http.MethodGet, target, "")
		if status != 503 || !strings.Contains(body, `"result":"failed","error":"the master does not answer: context deadline exceeded"`) {
			t.Errorf("%s: %d %s", target, status, body)
		}
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	t.Parallel()
	s := startServer(t, newFakeBackend(), nil)
	_, _, body := request(t, s.path, http.MethodGet, "/v1/status", "")
	for _, want := range []string{`"listen":[]`, `"workers":[]`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}

// checkOneLine holds a text for people to what they can read.
func checkOneLine(t testing.TB, text string) {
	t.Helper()
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(text) > 1000 {
		t.Errorf("%q is not one short line", text)
	}
}
