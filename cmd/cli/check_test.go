package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
	"prefork/master/config"
)

func TestEveryKeyHasHelp(t *testing.T) {
	t.Parallel()
	flags := 0
	for _, k := range config.Keys() {
		if k.FileOnly {
			continue
		}
		flags++
		if h := flagHelps[k.Name]; h.usage == "" || (h.value == "") != (k.Kind == config.Switch) {
			t.Errorf("--%s has no help, or a value that it does not take: %+v", k.Name, h)
		}
	}
	if flags != len(flagHelps) {
		t.Errorf("there is help for %d flags, and there are %d", len(flagHelps), flags)
	}
}

// result is what run said and returned.
type result struct {
	code           int
	stdout, stderr string
}

// inProcess is not for parallel tests: urfave/cli writes to variables of its package.
func inProcess(environ []string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(append([]string{"prefork"}, args...), environment{environ: environ, stdout: &stdout, stderr: &stderr})
	return result{code, stdout.String(), stderr.String()}
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckShowsWhatIsInForceAndWhy(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), `name = "shop"
listen = ["127.0.0.1:81", "[::1]:81"]
workers = 3
drain-timeout = "10s"
identify = true
environment = { PASSWORD = "secret" }
`)
	environ := []string{"PREFORK_CONFIG=" + file, "PREFORK_WORKERS=4", "PREFORK_HANG_TIMEOUT=20s", "PREFORK_SLOT=1"}
	r := inProcess(environ, "check", "--workers", "5", "--identify=false", "--", "sh", "-c", "echo $0")
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("exit code %d:\n%s", r.code, r.stderr)
	}
	for _, want := range []string{
		`name = "shop" # ` + file + ":1",
		`listen = ["127.0.0.1:81", "[::1]:81"] # ` + file + ":2",
		`workers = 5 # --workers`,
		`command = ["sh", "-c", "echo $0"] # COMMAND`,
		`hang-timeout = "20s" # PREFORK_HANG_TIMEOUT`,
		`identify = false # --identify`,
		`log-level = "info" # default`,
		`environment.PASSWORD = "(hidden)" # ` + file + ":6",
	} {
		if squeezed := strings.Join(strings.Fields(r.stdout), " "); !strings.Contains(squeezed, want) {
			t.Errorf("check does not show %s:\n%s", want, r.stdout)
		}
	}
	if strings.Contains(r.stdout, "secret") {
		t.Errorf("check shows a value of the environment:\n%s", r.stdout)
	}
	again := inProcess(nil, "check", "--config", write(t, filepath.Join(t.TempDir(), "again.toml"), r.stdout))
	if again.code != 0 || withoutPlaces(again.stdout) != withoutPlaces(r.stdout) {
		t.Errorf("fed back, exit code %d %s and\n%s\nwant\n%s", again.code, again.stderr, again.stdout, r.stdout)
	}
}

func withoutPlaces(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		value, _, _ := strings.Cut(line, " #")
		lines = append(lines, strings.TrimSpace(value))
	}
	return strings.Join(lines, "\n")
}

func TestCheckTellsEveryProblem(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), "workers = 0\nlog-level = debug\nwrokers = 1\n")
	r := inProcess([]string{"PREFORK_SURGE=0"}, "check", "-c", file, "--app", "x", "--", "sh")
	want := strings.Join([]string{
		`prefork: ` + file + `:1:1: workers "0": without a worker nobody serves: write at least 1, or auto`,
		`prefork: ` + file + `:2:13: text stands in quotes: write log-level = "debug"`,
		`prefork: ` + file + `:3:1: wrokers: unknown key: did you mean workers?`,
		`prefork: PREFORK_SURGE "0": without room for one new worker a reload could never begin: write at least 1`,
		`prefork: --app "x": there is a command too ("sh"), and a worker is one of the two: leave one out`,
		`prefork: --app "x": unknown: write one of hello, static, echo`,
	}, "\n") + "\n"
	if r.code != 2 || r.stdout != "" || r.stderr != want {
		t.Errorf("exit code %d, standard output %q, and\n%swant 2, nothing and\n%s", r.code, r.stdout, r.stderr, want)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	missing, large := filepath.Join(dir, "none.toml"), write(t, filepath.Join(dir, "large"), strings.Repeat("#\n", config.FileMax))
	below := filepath.Join(large, "shop.toml")
	for _, c := range []struct {
		name, path string
		says       string
	}{
		{"missing", missing, `--config "` + missing + `": there is no such file: write the path of one that is there`},
		{"folder", dir, `--config "` + dir + `": this is a folder: write the path of a file in it`},
		{"pipe", pipe, `--config "` + pipe + `": not a regular file, and a reload has to read it again: write the path of one`},
		{"large", large, large + ":1:1: the file is larger than 1MiB"},
		{"below a file", below, `--config "` + below + `": not a directory: write the path of a file that can be read`},
		{"no path", "", `--config "": no path: write that of a file, or leave the flag out`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"check", "run"} {
				oneLine(t, command(t, verb, "--config", c.path), 2, c.says)
			}
		})
	}
	r := inProcess([]string{"PREFORK_CONFIG=" + missing}, "check")
	if want := `prefork: PREFORK_CONFIG "` + missing + `": there is no such file`; r.code != 2 || !strings.HasPrefix(r.stderr, want) {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
}

func TestFileThatOneMayNotRead(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), "")
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	oneLine(t, command(t, "check", "--config", file), 2, "may not read it", "mode")
}

func TestWordsThatAreNoCommand(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"run", "-w", "2", "python3", "-u", "x y.py", "-w", "3"}, `prefork: "python3" is too much: a COMMAND stands after "--": prefork run [flags] -- python3 -u "x y.py" -w 3`},
		{[]string{"check", "sh", "--", "x"}, `prefork: "sh" is too much: a COMMAND stands after "--": prefork check [flags] -- sh -- x`},
		{[]string{"check", "shop.toml"}, `prefork: "shop.toml" is too much: did you mean --config shop.toml?`},
		{[]string{"run", "-w", "2", "--"}, `prefork: no COMMAND after "--": write one, or leave "--" out`},
		{[]string{"run", "--app", "hello", "--", "sh"}, `prefork: --app "hello": there is a command too ("sh"), and a worker is one of the two: leave one out`},
		{[]string{"check", "--", ""}, `prefork: COMMAND "": no program: the first word is the program's name, write it there`},
	} {
		if r := inProcess(nil, c.args...); r.code != 2 || r.stderr != c.says+"\n" {
			t.Errorf("%q: exit code %d, %swant 2, %s", c.args, r.code, r.stderr, c.says)
		}
	}
}

func TestCommandsFindTheMasterByVariables(t *testing.T) {
	t.Parallel()
	m, _ := ready(t, "--workers", "1", "--name", "shop")
	ask := func(environ []string, args ...string) testproc.Result {
		cmd := commandLine(t, append([]string{"status"}, args...)...)
		cmd.Env = append(environ, "PREFORK_WORKERS=none of status's business")
		return testproc.Run(t, cmd)
	}
	if r := ask([]string{"PREFORK_CONTROL=" + m.Control}); r.Code != 0 || !strings.Contains(r.Stdout, "shop is serving") {
		t.Errorf("by PREFORK_CONTROL: %v", r)
	}
	if r := ask([]string{"PREFORK_CONTROL=/nonexistent"}, "--control", m.Control); r.Code != 0 {
		t.Errorf("by --control, which goes before: %v", r)
	}
	dir := testproc.SocketDir(t)
	oneLine(t, ask([]string{"PREFORK_NAME=elsewhere", "XDG_RUNTIME_DIR=" + dir}), 3, "elsewhere.sock")
	oneLine(t, ask([]string{"PREFORK_NAME=a/b"}), 2, `PREFORK_NAME "a/b"`)
}
