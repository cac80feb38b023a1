package cli

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestArrange(t *testing.T) {
	t.Parallel()
	app := newApp(environment{stdout: io.Discard, stderr: io.Discard})
	for _, c := range []struct{ name, in, want string }{
		{"nothing to do", "prefork run --workers 2", "prefork run --workers 2"},
		{"flag behind the argument", "prefork scale 4 --name x", "prefork scale --name x -- 4"},
		{"negative number", "prefork scale -1", "prefork scale -- -1"},
		{"negative number before a flag", "prefork scale -1 --name x", "prefork scale --name x -- -1"},
		{"value in the same word", "prefork scale 4 --name=x", "prefork scale --name=x -- 4"},
		{"switch takes no value", "prefork stop --now extra", "prefork stop --now -- extra"},
		{"value that looks like a flag", "prefork run --name --x", "prefork run --name --x"},
		{"a COMMAND", "prefork run -w 2 -- sh -c x", "prefork run -w 2 -- -- sh -c x"},
		{"a COMMAND with --", "prefork check -- sh -- -w 2", "prefork check -- -- sh -- -w 2"},
		{"no COMMAND", "prefork run -w 2 --", "prefork run -w 2 -- --"},
		{"a COMMAND without --", "prefork run -w 2 sh -w 3 -- x", "prefork run -w 2 -- sh -w 3 -- x"},
		{"flags after -- stay", "prefork scale -- -1 --name", "prefork scale -- -1 --name"},
		{"unknown command", "prefork scael -1", "prefork scael -1"},
		{"no command", "prefork", "prefork"},
		{"value missing", "prefork run --name", "prefork run --name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := arrange(app, strings.Fields(c.in))
			if want := strings.Fields(c.want); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestHelpNamesEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	app := newApp(environment{stdout: io.Discard, stderr: io.Discard})
	help := &bytes.Buffer{}
	if code := run([]string{"prefork", "--help"}, environment{stdout: help, stderr: help}); code != 0 {
		t.Errorf("prefork --help: exit code %d", code)
	}
	for _, cmd := range app.Commands {
		if !strings.Contains(help.String(), cmd.Name) {
			t.Errorf("prefork --help does not name %s", cmd.Name)
		}
		own := &bytes.Buffer{}
		if code := run([]string{"prefork", cmd.Name, "--help"}, environment{stdout: own, stderr: own}); code != 0 {
			t.Errorf("prefork %s --help: exit code %d", cmd.Name, code)
		}
		for _, f := range cmd.Flags {
			if name := "--" + f.Names()[0]; name != "--help" && !strings.Contains(own.String(), name) {
				t.Errorf("prefork %s --help does not name %s", cmd.Name, name)
			}
		}
	}
}
