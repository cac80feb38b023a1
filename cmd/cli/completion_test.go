package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"prefork/internal/testproc"
	"prefork/master/config"
)

func TestCompleteWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string // "_" stands for a last word that is not begun
		want []string
	}{
		{"re", []string{"reload", "reopen"}},
		{"--", []string{"--help"}},
		{"nope _", nil},
		{"completion _", []string{"bash", "zsh", "fish"}},
		{"completion f", []string{"fish"}},
		{"events -", []string{"--name", "--control", "--json", "--since", "--help"}},
		{"events _", []string{"--name", "--control", "--json", "--since", "--help"}},
		{"events --json --na", []string{"--name"}},
		{"events --json --j", nil},
		{"events --name x -", []string{"--control", "--json", "--since", "--help"}},
		{"events --name=x -", []string{"--control", "--json", "--since", "--help"}},
		{"run --listen a:1 --li", []string{"--listen"}},
		{"run -l a:1 --li", []string{"--listen"}},
		{"run --log-level _", config.LogLevels()},
		{"run --log-level w", []string{"warn"}},
		{"run --log-format=", []string{"--log-format=text", "--log-format=json"}},
		{"run --log-format=t", []string{"--log-format=text"}},
		{"run --log-file _", []string{"/files"}},
		{"run --log-file=/v", []string{"/files"}},
		{"run --workers _", nil},
		{"run --nope=", nil},
		{"run --nope _", []string{"--config"}}, // and the others: an unknown flag takes no value
		{"scale 4", nil},
		{"scale -1 --co", []string{"--control"}},
		{"run -w 2 -- pyth", []string{"/files"}},
	} {
		words := strings.Fields(c.line)
		if words[len(words)-1] == "_" {
			words[len(words)-1] = ""
		}
		got := answer(t, words...)
		if strings.Contains(c.line, "--nope _") {
			got = got[:1]
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.line, got, c.want)
		}
	}
}

// answer is what a shell is told, without descriptions.
func answer(t *testing.T, words ...string) []string {
	t.Helper()
	out := &bytes.Buffer{}
	if code := run(append([]string{"prefork", completeArg}, words...), environment{stdout: out, stderr: out}); code != 0 {
		t.Errorf("exit code %d for %q", code, words)
	}
	var list []string
	for line := range strings.Lines(out.String()) {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		list = append(list, word)
	}
	return list
}

// A new command or flag is complete without another word: it is described, and
// its value is a file or one of the choices where the table says so.
func TestCompletionKnowsEverything(t *testing.T) {
	t.Parallel()
	app := newApp(environment{stdout: io.Discard, stderr: io.Discard})
	known := map[string]bool{}
	for _, cmd := range app.Commands {
		if !slices.Contains(answer(t, ""), cmd.Name) {
			t.Errorf("%s is not completed", cmd.Name)
		}
		for _, f := range cmd.Flags {
			known[f.Names()[0]] = true
			if describe(f) == "" {
				t.Errorf("%s --%s has no description", cmd.Name, f.Names()[0])
			}
		}
	}
	for name := range choices {
		if !known[name] {
			t.Errorf("choices names --%s, which is no flag", name)
		}
	}
	for _, path := range []string{"config", "root", "control", "pid-file", "log-file"} {
		if got := answer(t, "run", "--"+path, ""); !slices.Equal(got, []string{filesLine}) {
			t.Errorf("--%s: got %q, want the names of files", path, got)
		}
	}
}

func TestCompletionRefusesOtherShells(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"tcsh"}, {"bash", "zsh"}} {
		out := &bytes.Buffer{}
		code := run(append([]string{"prefork", "completion"}, args...), environment{stdout: io.Discard, stderr: out})
		if code != exitUsage || !strings.Contains(out.String(), "prefork completion bash, zsh, fish") {
			t.Errorf("%q: got exit code %d and %q, want %d and the shells' names", args, code, out, exitUsage)
		}
	}
}

// The lines that every shell is asked to complete; the cursor is at the end.
var shellCases = []struct {
	line string
	want []string
}{
	{"prefork comp", []string{"completion"}},
	{"prefork run --log-f", []string{"--log-file", "--log-format"}},
	{"prefork run --log-format ", []string{"json", "text"}},
	{"prefork run --log-level=w", []string{"warn"}},
	{"prefork run --log-level=", []string{"debug", "error", "info", "warn"}},
	{"prefork run --log-file /etc/pass", []string{"/etc/passwd"}},
	{"prefork run --log-file=/etc/pass", []string{"/etc/passwd"}},
	{"prefork run --workers ", nil},
}

func TestBashCompletes(t *testing.T) {
	t.Parallel()
	// What readline does before it calls the function, for words without quotes: it
	// breaks at blanks and around "=", and -o default means the names of files.
	const script = `set -u
source <(prefork completion bash)
compopt() { [[ $* == "-o default" ]] && mapfile -t COMPREPLY < <(compgen -f -- "$current"); }
line=$1
[[ $line == *" " ]] && line+="_"
read -ra COMP_WORDS <<<"${line//=/ = }"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ ${COMP_WORDS[COMP_CWORD]} != "_" ]] || COMP_WORDS[COMP_CWORD]=""
current=${COMP_WORDS[COMP_CWORD]}
_prefork prefork "$current" ""
printf '%s\n' "${COMPREPLY[@]}"`
	for _, c := range shellCases {
		checkWords(t, c.line, shell(t, "bash", "-c", script, "bash", c.line), slices.Clone(c.want))
	}
	// What stands on the line is never run.
	canary := filepath.Join(t.TempDir(), "canary")
	r := shell(t, "bash", "-c", script, "bash", "prefork run --name $(touch${IFS}"+canary+") --log-le")
	checkWords(t, "a line with a command in it", r, []string{"--log-level"})
	if _, err := os.Stat(canary); err == nil {
		t.Error("completion ran a command of the line")
	}
}

// A person presses TAB; only completion can make the words that come back.
func TestShellsCompleteOnATerminal(t *testing.T) {
	t.Parallel()
	for shell, args := range map[string][]string{
		"bash": {"--norc", "--noprofile", "-i"},
		"zsh":  {"-f", "-i"},
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(mustHave(t, shell), args...)
			cmd.Env = shellEnvironment(t)
			term := testproc.StartOnTerminal(t, cmd)
			if shell == "zsh" {
				term.Type(t, "autoload -Uz compinit && compinit -u -D\n")
			}
			term.Type(t, "source <(prefork completion "+shell+"); echo is$((40 + 2))ready\n")
			term.AwaitLine(t, "is42ready")
			term.Type(t, "prefork run --log-fo\tnonsense\n")
			term.AwaitLine(t, `log-format "nonsense"`)
			term.Type(t, "exit\n")
			term.AwaitExit(t)
		})
	}
}

func TestZshCompletes(t *testing.T) {
	t.Parallel()
	// The functions of its completion system are replaced by ones that print.
	const script = `compdef() { }
_describe() { print -rl -- "${(@P)2%%:*}"; }
compset() { [[ $current == --*=* ]] && current=${current#*=}; }
_files() { print -rl -- $current*(N) }
source <(prefork completion zsh)
words=(${(s: :)1})
[[ $1 != *" " ]] || words+=("")
CURRENT=$#words
current=$words[-1]
_prefork`
	program := mustHave(t, "zsh")
	for _, c := range shellCases {
		checkWords(t, c.line, shell(t, program, "-f", "-c", script, "zsh", c.line), wholeWords(c.line, c.want))
	}
}

func TestFishCompletes(t *testing.T) {
	t.Parallel()
	program := mustHave(t, "fish")
	for _, c := range shellCases {
		r := shell(t, program, "--no-config", "-c", `prefork completion fish | source; complete -C $argv[1]`, c.line)
		checkWords(t, c.line, r, wholeWords(c.line, c.want))
	}
}

// wholeWords is what a shell expects that does not break words at "=".
func wholeWords(line string, want []string) []string {
	last := line[strings.LastIndexByte(line, ' ')+1:]
	flag, _, joined := strings.Cut(last, "=")
	var list []string
	for _, word := range want {
		if joined && !strings.HasPrefix(word, "/") {
			word = flag + "=" + word
		}
		list = append(list, word)
	}
	return list
}

// checkWords compares the words that a shell printed, a line each, in any order.
func checkWords(t *testing.T, line string, r testproc.Result, want []string) {
	t.Helper()
	var got []string
	for text := range strings.Lines(r.Stdout) {
		word, _, _ := strings.Cut(strings.TrimSpace(text), "\t")
		if _, path, joined := strings.Cut(word, "=/"); joined { // fish gives the whole word for a file, too
			word = "/" + path
		}
		if word != "" && word != "/etc/passwd-" {
			got = append(got, word)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || r.Stderr != "" {
		t.Errorf("%q: got %q, want %q\n%s", line, got, want, r.Stderr)
	}
}

// shell runs a shell that finds the binary as prefork.
func shell(t *testing.T, name string, args ...string) testproc.Result {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = shellEnvironment(t)
	return testproc.Run(t, cmd)
}

func shellEnvironment(t *testing.T) []string {
	t.Helper()
	return append(os.Environ(), "HOME="+t.TempDir(), "TERM=dumb", "LC_ALL=C",
		fmt.Sprintf("PATH=%s:%s", filepath.Dir(testproc.Binary(t)), os.Getenv("PATH")))
}

// mustHave skips a test whose program is not there.
func mustHave(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	return path
}
