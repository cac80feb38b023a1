package config

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

func mustResolve(t testing.TB, s Sources) Resolved {
	t.Helper()
	r, err := Resolve(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sources is short for what the tests say most.
func sources(file string, environ []string, flags ...string) Sources {
	s := Sources{File: &File{Path: "shop.toml", Data: []byte(file)}, Environ: environ}
	for _, f := range flags {
		name, value, _ := strings.Cut(f, "=")
		s.Flags = append(s.Flags, Given{Name: name, Values: strings.Fields(value)})
	}
	return s
}

func TestHigherLayersWin(t *testing.T) {
	t.Parallel()
	r := mustResolve(t, sources(`
name = "file"
workers = 2
listen = ["127.0.0.1:81", "127.0.0.1:82"]
drain-timeout = "1s"
max-body = 10
environment = { A = "b" }
`, []string{"PREFORK_WORKERS=3", "PREFORK_LISTEN=127.0.0.1:83  127.0.0.1:84", "PREFORK_DRAIN_TIMEOUT=2s", "PATH=/bin", "PREFORK_IDENTIFY=true"},
		"workers=4", "drain-timeout=3s", "identify=false"))
	c := r.Config
	if c.Name != "file" || c.Workers != 4 || c.DrainTimeout != 3*time.Second || c.MaxBody != 10 || c.Identify || c.Environment["A"] != "b" {
		t.Errorf("got %+v", c)
	}
	if len(c.Listen) != 2 || c.Listen[0].String() != "127.0.0.1:83" || c.Listen[1].String() != "127.0.0.1:84" {
		t.Errorf("listens on %v: a list replaces the one below it", c.Listen)
	}
	for key, want := range map[string]string{
		"name": "shop.toml:2", "workers": "--workers", "listen": "PREFORK_LISTEN", "drain-timeout": "--drain-timeout",
		"max-body": "shop.toml:6", "environment": "shop.toml:7", "identify": "--identify", "queue": "default",
	} {
		if got := r.origins.of(key, "").String(); got != want {
			t.Errorf("%s comes from %s, want %s", key, got, want)
		}
	}
}

// TestEveryKeyCanBeSetEverywhere sets each key to its own default in each layer.
func TestEveryKeyCanBeSetEverywhere(t *testing.T) {
	t.Parallel()
	for _, k := range Keys() {
		words := k.Words(Default())
		if k.FileOnly {
			continue
		}
		environ := []string{k.Variable() + "=" + strings.Join(words, " ")}
		flags := []Given{{Name: k.Name, Values: words}}
		file := &File{Path: "shop.toml", Data: []byte(k.Name + " = " + k.format(Default()))}
		for want, s := range map[string]Sources{k.Variable(): {Environ: environ}, "--" + k.Name: {Flags: flags}, "shop.toml:1": {File: file}} {
			r := mustResolve(t, s)
			if got := r.origins.of(k.Name, "").String(); got != want {
				t.Errorf("%s comes from %s, want %s", k.Name, got, want)
			}
			if !reflect.DeepEqual(r.Config, Default()) {
				t.Errorf("%s set to its default gives %+v", k.Name, r.Config)
			}
		}
	}
}

func TestAppAndCommand(t *testing.T) {
	t.Parallel()
	const command, static = `command = ["sh", "-c", "x"]`, `app = "static"`
	const secure = "tls-cert = \"/cert\"\ntls-key = \"/key\""
	for _, tc := range []struct {
		name                  string
		file                  string
		environ               []string
		flags                 []string
		arguments             []string
		wantApp, wantCommand  string
		wantEngine, wantError string
	}{
		{name: "neither", wantApp: "hello", wantEngine: "reactor"},
		{name: "command beats the default app", file: command, wantApp: "hello", wantCommand: "sh -c x", wantEngine: "reactor"},
		{name: "arguments beat the file's app", file: static, arguments: []string{"sh"}, wantApp: "hello", wantCommand: "sh", wantEngine: "reactor"},
		{name: "arguments beat the file's command", file: command, arguments: []string{"ls", "--workers", "-1"}, wantApp: "hello", wantCommand: "ls --workers -1", wantEngine: "reactor"},
		{name: "flag beats the file's command", file: command, flags: []string{"app=echo"}, wantApp: "echo", wantEngine: "reactor"},
		{name: "variable beats the file's command", file: command, environ: []string{"PREFORK_APP=echo"}, wantApp: "echo", wantEngine: "reactor"},
		{name: "static", flags: []string{"app=static"}, wantApp: "static", wantEngine: "reactor"},
		{name: "static with TLS", file: secure, flags: []string{"app=static"}, wantApp: "static", wantEngine: "goroutines"},
		{name: "TLS takes its engine", file: secure, wantApp: "hello", wantEngine: "goroutines"},
		{name: "TLS with another", file: secure, flags: []string{"engine=reactor"},
			wantError: `--engine "reactor": TLS needs the engine goroutines: write goroutines, or leave engine out, or leave tls-cert and tls-key out`},
		{name: "TLS of echo", file: secure, flags: []string{"app=echo"},
			wantError: `shop.toml:1:1: tls-cert "/cert": the app echo runs on the engine reactor, which has no TLS: leave tls-cert and tls-key out, or write another app`},
		{name: "TLS of a command", file: secure, arguments: []string{"sh"},
			wantError: `shop.toml:1:1: tls-cert "/cert": a COMMAND ("sh") reads from its connections itself, so TLS is its own business: leave tls-cert and tls-key out, and tell the COMMAND`},
		{name: "a key alone", flags: []string{"tls-key=/key"},
			wantError: `--tls-key "/key": there is no tls-cert, and a key is of no use without its certificate: write both, or leave both out`},
		{name: "static with an engine", file: static, environ: []string{"PREFORK_ENGINE=goroutines"}, wantApp: "static", wantEngine: "goroutines"},
		{name: "flag and arguments", flags: []string{"app=echo"}, arguments: []string{"sh"},
			wantError: `--app "echo": there is a command too ("sh"), and a worker is one of the two: leave one out`},
		{name: "empty command is none", file: "command = []\n" + static, wantApp: "static", wantEngine: "reactor"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := sources(tc.file, tc.environ, tc.flags...)
			s.Command = tc.arguments
			r, err := Resolve(s)
			if tc.wantError != "" {
				if err == nil || err.Error() != tc.wantError {
					t.Errorf("got  %v\nwant %s", err, tc.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := r.Config
			if got := strings.Join(c.Command, " "); c.App != tc.wantApp || c.Engine != tc.wantEngine || got != tc.wantCommand {
				t.Errorf("got app %s, engine %s, command %q", c.App, c.Engine, got)
			}
			checkReadsBack(t, r)
		})
	}
}

func TestEnvironmentErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, entry, want string }{
		{"unknown", "PREFORK_WROKERS=secret", `PREFORK_WROKERS: unknown: did you mean PREFORK_WORKERS?`},
		{"unknown without a neighbour", "PREFORK_XDG=secret", `PREFORK_XDG: unknown: prefork run --help lists the flags, and each has a variable, like PREFORK_WORKERS for --workers`},
		{"config mistyped", "PREFORK_CONFIGS=secret", `PREFORK_CONFIGS: unknown: did you mean PREFORK_CONFIG?`},
		{"file only", "PREFORK_COMMAND=secret", `PREFORK_COMMAND: unknown: command stands in the file, and a variable cannot set it`},
		{"odd name", "PREFORK_A\nB=secret", `"PREFORK_A\nB": unknown: prefork run --help lists the flags, and each has a variable, like PREFORK_WORKERS for --workers`},
		{"no value", "PREFORK_WORKERS", `PREFORK_WORKERS "": not a count from 1 to 1024: write a number, or auto`},
		{"value", "PREFORK_DRAIN_TIMEOUT=20", `PREFORK_DRAIN_TIMEOUT "20": not a time: write a number with a unit, like 30s, 500ms or 2m`},
		{"switch", "PREFORK_IDENTIFY=yes", `PREFORK_IDENTIFY "yes": not on or off: write true or false`},
		{"one of two", "PREFORK_LISTEN=:80 web:80", `PREFORK_LISTEN "web:80": "web" is a host name, and a name can change its meaning: write its IP address`},
		{"no address", "PREFORK_LISTEN= ", `PREFORK_LISTEN "": no address, and nobody could connect: write at least one, for example 127.0.0.1:8080`},
		{"meaning", "PREFORK_NAME=a/b", `PREFORK_NAME "a/b": it becomes a file name, and "/" cannot stand in it: write 1 to 64 of the characters a-z A-Z 0-9 . _ -, not beginning with . or -`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Resolve(Sources{Environ: []string{tc.entry}})
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// TestWorkersEnvironmentIsNotForUs: prefork may run inside of a worker.
func TestWorkersEnvironmentIsNotForUs(t *testing.T) {
	t.Parallel()
	environ := []string{"PREFORK_SLOT=1", "PREFORK_GENERATION=2", "PREFORK_IPC=3", "PREFORK_CONFIG=x", "prefork_workers=0", "PREFORKX=1", "PREFORK=", ""}
	if r := mustResolve(t, Sources{Environ: environ}); !reflect.DeepEqual(r.Config, Default()) {
		t.Errorf("got %+v", r.Config)
	}
}

// TestSiblingsVariableHasTwoMeanings: the switch, and a worker's numbers. Only where
// there is a worker numbers are not meant for us.
func TestSiblingsVariableHasTwoMeanings(t *testing.T) {
	t.Parallel()
	file := `command = ["python3", "app.py"]`
	for _, tc := range []struct {
		environ []string
		want    string // of the error, or true or false
	}{
		{[]string{"PREFORK_SIBLING_FDS=true"}, "true"},
		{[]string{"PREFORK_SIBLING_FDS=false"}, "false"},
		{[]string{"PREFORK_SIBLING_FDS=4", "PREFORK_SLOT=0"}, "false"},
		{[]string{"PREFORK_SLOT=0", "PREFORK_SIBLING_FDS=5,6"}, "false"},
		{[]string{"PREFORK_SLOT=0", "PREFORK_SIBLING_FDS=true"}, "true"},
		{[]string{"PREFORK_SIBLING_FDS=1"}, `PREFORK_SIBLING_FDS "1": not on or off: write true or false`},
		{[]string{"PREFORK_SIBLING_FDS=", "PREFORK_SLOT=0"}, `PREFORK_SIBLING_FDS "": not on or off: write true or false`},
		{[]string{"PREFORK_SIBLING_FDS=yes", "PREFORK_SLOT=0"}, `PREFORK_SIBLING_FDS "yes": not on or off: write true or false`},
	} {
		r, err := Resolve(sources(file, tc.environ))
		got := strconv.FormatBool(r.Config.SiblingFDs)
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.environ, got, tc.want)
		}
	}
}

func TestProblemsComeInOrder(t *testing.T) {
	t.Parallel()
	s := sources("pid-file = \"/run/\"\nworkers = 0\nlog-level = \"x\"\n", []string{"PREFORK_SURGE=0", "PREFORK_APP=x", "PREFORK_A=1"}, "queue=x", "engine=x")
	_, err := Resolve(s)
	if err == nil {
		t.Fatal("it was accepted")
	}
	var got []string
	for line := range strings.Lines(err.Error()) {
		first, _, _ := strings.Cut(line, " ")
		got = append(got, first)
	}
	want := "shop.toml:1:1: shop.toml:2:1: shop.toml:3:1: PREFORK_A: PREFORK_APP PREFORK_SURGE --engine --queue"
	if got := strings.Join(got, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestABrokenValueIsToldOnce(t *testing.T) {
	t.Parallel()
	// The flag's value stands in for nothing: what the file says is still wrong.
	_, err := Resolve(sources("workers = true\nlisten = [\"x\"]\n", nil, "workers=2000", "listen=127.0.0.1:80"))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got\n%v\nwant the file's two problems, and the flag's", err)
	}
}

func TestManyProblemsAreBounded(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"a\n", "a = 1\n", "environment.A = 1\n", "listen.a = 1\n", "[\n", "\"\n"} {
		_, err := Resolve(Sources{File: &File{Path: "shop.toml", Data: []byte(strings.Repeat(line, 10000))}})
		if err == nil {
			t.Fatalf("%q was accepted", line)
		}
		checkLines(t, err)
	}
}

func TestLargeFiles(t *testing.T) {
	t.Parallel()
	comments := strings.Repeat("#"+strings.Repeat(" ", 1022)+"\n", 1024)
	mustResolve(t, sources(comments, nil))
	_, err := Resolve(sources(comments+"\n", nil))
	if want := "shop.toml:1:1: the file is larger than 1MiB, which no configuration is: write the path of another one"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	// Deep and wide things that a careless reader takes for ever over.
	for _, text := range []string{
		"listen = " + strings.Repeat("[", FileMax-10), "environment = " + strings.Repeat("{a=", 200000), strings.Repeat("a.", 500000) + "a = 1",
		"listen = [" + strings.Repeat("1,", 500000) + "]", "environment = {" + strings.Repeat("a='',", 200000) + "}",
	} {
		if _, err := Resolve(sources(text, nil)); err == nil {
			t.Errorf("%.20s… was accepted", text)
		} else {
			checkLines(t, err)
		}
	}
}

func TestOddPaths(t *testing.T) {
	t.Parallel()
	r := mustResolve(t, Sources{File: &File{Path: "/etc/a b\n#c.toml", Data: []byte("workers = 4")}})
	if got, want := r.origins.of("workers", "").String(), `"/etc/a b\n#c.toml":1`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	checkReadsBack(t, r)
}

func TestTOMLSaysWhereEachValueCameFrom(t *testing.T) {
	t.Parallel()
	r := mustResolve(t, sources(`name = "shop"
listen = ["127.0.0.1:81", "[::1]:81"]
workers = 4
surge = 2
app = "static"
root = "/srv/a \"b\"\u0001\\"

[environment]
"SECRET.KEY" = "secret"
PASSWORD = "secret"
`, []string{"PREFORK_DRAIN_TIMEOUT=2m"}, "identify=true"))
	checkGolden(t, "testdata/resolved.want", r.TOML())
	checkReadsBack(t, r)
	command := mustResolve(t, Sources{Command: []string{"gunicorn", "--workers", "1", "it's \"quoted\""}})
	checkGolden(t, "testdata/command.want", command.TOML())
	checkReadsBack(t, command)
}

// checkReadsBack holds TOML to its promise: any reader of TOML takes it, and this
// one gets the same configuration, but for the values of the environment.
func checkReadsBack(t testing.TB, r Resolved) {
	t.Helper()
	text := r.TOML()
	if strings.Contains(text, "secret") {
		t.Errorf("the value of a variable is shown:\n%s", text)
	}
	var any map[string]any
	if err := toml.Unmarshal([]byte(text), &any); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	again, err := Resolve(sources(text, nil))
	if err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	want := r.Config
	if want.Environment != nil {
		want.Environment = map[string]string{}
		for name := range r.Config.Environment {
			want.Environment[name] = "(hidden)"
		}
	}
	for _, k := range Keys() {
		if got, want := k.Words(again.Config), k.Words(want); strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Errorf("%s reads back as %q, want %q", k.Name, got, want)
		}
	}
}
