package cli

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"prefork/internal/testproc"
)

// What people run has no app that misbehaves on request.
func TestNoTrialInANormalBuild(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"run", "check"} {
		oneLine(t, command(t, verb, "--listen", "127.0.0.1:0", "--app", "trial"), 2, `"trial": unknown`)
	}
	r := testproc.Run(t, exec.Command(testproc.Trial(t), "check", "--app", "trial"))
	if r.Code != 0 {
		t.Errorf("a binary built for tests refuses its app: %s", r)
	}
}

func TestTrialMisbehaves(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"reactor", "goroutines"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			m := testproc.PreforkTrial(t, "--app", "trial", "--engine", engine, "--workers", "1", "--identify", "--hang-timeout", "2s")
			st := m.AwaitState(t, "serving")
			for path, least := range map[string]time.Duration{"/": 0, "/sleep/300ms": 300 * time.Millisecond} {
				took, answer := timed(t, addr(st), path)
				if took < least || !identified.MatchString(answer) || !strings.Contains(answer, "\r\n\r\nhello from slot 0 ") {
					t.Errorf("%s: after %s, want %s or more and an answer with the worker's name:\n%s", path, took, least, answer)
				}
			}
			for path, want := range map[string]string{"/sleep/1000h": "404 Not Found", "/sleep": "404 Not Found", "/spin/1": "404 Not Found"} {
				if _, answer := timed(t, addr(st), path); !strings.Contains(answer, want) {
					t.Errorf("%s: want %s:\n%s", path, want, answer)
				}
			}
			checkUneven(t, addr(st))
			if engine == "reactor" {
				checkSpin(t, m, st)
			}
		})
	}
}

var identified = regexp.MustCompile(`(?m)^Prefork-Worker: slot=0 incarnation=\d+ generation=1 pid=\d+\r$`)

// checkUneven: of 100 requests some block and some do not. By chance one of the
// two would be missing once in five thousand million runs.
func checkUneven(t *testing.T, address string) {
	t.Helper()
	blocked := 0
	for range 100 {
		if took, _ := timed(t, address, "/uneven"); took >= 40*time.Millisecond {
			blocked++
		}
	}
	if blocked == 0 || blocked == 100 {
		t.Errorf("%d of 100 requests blocked for 40 ms, want about 20", blocked)
	}
}

// checkSpin: the loop never turns again, and the master notices.
func checkSpin(t *testing.T, m *testproc.Master, st testproc.Status) {
	t.Helper()
	fmt.Fprint(connect(t, addr(st)), "GET /spin HTTP/1.1\r\nHost: x\r\n\r\n")
	m.AwaitStatus(t, "a successor of the worker that spins", func(s testproc.Status) bool {
		ready := s.Ready()
		return len(ready) == 1 && ready[0].PID != st.Ready()[0].PID
	})
	m.AwaitLine(t, "SIGABRT: abort")
}

// timed sends one request on a connection of its own.
func timed(t *testing.T, address, path string) (took time.Duration, answer string) {
	t.Helper()
	c := connect(t, address)
	began := time.Now()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
	answer = readAll(t, c)
	return time.Since(began), answer
}
