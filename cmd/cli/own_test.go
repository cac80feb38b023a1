package cli

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"prefork/worker"
)

// ownProcess is inProcess for a program that is its own master, called shop. No
// worker of it is started here: package examples has the tests of that.
func ownProcess(environ []string, args ...string) result {
	var stdout, stderr bytes.Buffer
	env := environment{
		environ: environ, stdout: &stdout, stderr: &stderr,
		name: "shop", serve: func(*worker.Worker) error { return nil },
	}
	code := run(append([]string{"./shop"}, args...), env)
	return result{code, stdout.String(), stderr.String()}
}

// TestOwnProgramHasNoBuiltInApp: what would choose one is refused, wherever it stands.
func TestOwnProgramHasNoBuiltInApp(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), "workers = 1\nengine = \"reactor\"\n")
	const refused = "this program is its own app and has no other: leave it out\n"
	for _, c := range []struct {
		environ, args []string
		says          string
	}{
		{nil, []string{"run", "--app", "echo"}, "shop: unknown flag --app: see shop run --help\n"},
		{nil, []string{"check", "--root", "/srv"}, "shop: unknown flag --root: see shop check --help\n"},
		{[]string{"PREFORK_APP=echo"}, []string{"run"}, `shop: PREFORK_APP "echo": ` + refused},
		{[]string{"PREFORK_ROOT=/srv", "PREFORK_WORKERS=2"}, []string{"check"}, `shop: PREFORK_ROOT "/srv": ` + refused},
		{nil, []string{"check", "--config", file}, "shop: " + file + `:2:1: engine "reactor": ` + refused},
	} {
		if r := ownProcess(c.environ, c.args...); r.code != exitUsage || r.stderr != c.says {
			t.Errorf("%v %q: exit code %d, %swant 2, %s", c.environ, c.args, r.code, r.stderr, c.says)
		}
	}
	if r := ownProcess(nil, "check"); r.code != 0 || regexp.MustCompile(`(?m)^(app|engine|root) `).MatchString(r.stdout) {
		t.Errorf("check shows what cannot be chosen: exit code %d, %s%s", r.code, r.stderr, r.stdout)
	}
}

// TestOwnProgramHasItsName: whoever reads help or an error of a program need not
// know what it was made with.
func TestOwnProgramHasItsName(t *testing.T) {
	typed := regexp.MustCompile(`prefork (run|check|status|reload|scale|upgrade|stop|reopen|events|completion|version|COMMAND|--)`)
	app := newApp(environment{})
	calls := [][]string{{"--help"}, {"completion"}, {"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"},
		{"nope"}, {"--nope"}, {"status", "--nope"}, {"status", "x"}, {"scale"}, {"scale", "x"}, {"run", "x"}}
	for _, cmd := range app.Commands {
		calls = append(calls, []string{cmd.Name, "--help"})
	}
	for _, args := range calls {
		r := ownProcess(nil, args...)
		said := r.stdout + r.stderr
		if !strings.Contains(said, "shop") || typed.MatchString(said) {
			t.Errorf("%q says\n%s\nwant shop for what is typed, not %q", args, said, typed.FindString(said))
		}
	}
}
