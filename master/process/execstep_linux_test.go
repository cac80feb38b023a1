package process

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExecStepSaysWhyAProgramCannotRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tests := map[string]struct {
		program string
		code    int
		want    string // DIR stands for the folder
	}{
		"not in PATH": {"gunicorn", 127,
			"cannot run gunicorn: not found in PATH (DIR/bin): install it, or give its full path"},
		"no such file": {"DIR/gone", 127,
			"cannot run DIR/gone: no such file: deleted, moved or not yet built"},
		"dangling link": {linkTo(t, dir, "link", "releases/7/app"), 127,
			"cannot run DIR/link: it is a link to releases/7/app, which is not there: deleted, moved or not yet built"},
		"interpreter gone": {fileIn(t, dir, "script", "#!/usr/bin/python9 -u\n", 0o755), 127,
			"cannot run DIR/script: its interpreter /usr/bin/python9 (first line of the file) is not there"},
		"not executable": {fileIn(t, dir, "data", "#!/bin/sh\n", 0o644), 126,
			"cannot run DIR/data: not executable (mode 0644): chmod +x it"},
		"folder": {dir, 126,
			"cannot run DIR: it is a folder, not a program"},
		"file as folder": {"DIR/data/app", 126,
			"cannot run DIR/data/app: not a directory"},
		"no format": {fileIn(t, dir, "text", "hello\n", 0o755), 126,
			"cannot run DIR/text: neither a program nor a script: a script begins with a line like #!/bin/sh"},
		"empty": {fileIn(t, dir, "empty", "", 0o755), 126,
			"cannot run DIR/empty: the file is empty"},
		"other machine": {fileIn(t, dir, "sparc", elfFor(t, 43), 0o755), 126,
			"cannot run DIR/sparc: built for ELF machine 43, and this machine is " + runtime.GOARCH},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := strings.ReplaceAll(test.program, "DIR", dir)
			got := mustRun(t, Spec{Program: []string{program}, Env: []string{"PATH=" + dir + "/bin"}})
			if want := (Status{Code: test.code}); got.status != want {
				t.Errorf("got %v, want %v", got.status, want)
			}
			want := "prefork: " + strings.ReplaceAll(test.want, "DIR", dir) + "\n"
			if got.stderr != want {
				t.Errorf("got  %swant %s", got.stderr, want)
			}
		})
	}
}

func fileIn(t testing.TB, dir, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	mustWrite(t, path, content, mode)
	return path
}

func linkTo(t testing.TB, dir, name, target string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// elfFor is our own image, with another machine written into its header.
func elfFor(t testing.TB, machine uint16) string {
	t.Helper()
	header := head(Self)
	if len(header) != headMax {
		t.Fatalf("read %d bytes of %s", len(header), Self)
	}
	binary.NativeEndian.PutUint16(header[18:], machine)
	return string(header)
}

func TestExecStepWithATextBusyFile(t *testing.T) {
	t.Parallel()
	path := fileIn(t, t.TempDir(), "app", "", 0o755)
	writer, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	got := mustRun(t, Spec{Program: []string{path}})
	want := "prefork: cannot run " + path + ": the file is open for writing: put a new version in place by rename, not by writing into it\n"
	if got.stderr != want || got.status.Code != CodeNotExecutable {
		t.Errorf("got %q (%v), want %q", got.stderr, got.status, want)
	}
}

func TestExecStepWithoutItsFolder(t *testing.T) {
	t.Parallel()
	got := mustRun(t, Spec{Program: shell(":"), Dir: "/no/such/folder", Slot: 4})
	want := "prefork: enter working folder of slot 4: chdir /no/such/folder: no such file or directory\n"
	if got.stderr != want || got.status.Code != CodeStepFailed {
		t.Errorf("got %q (%v), want %q", got.stderr, got.status, want)
	}
}

// People find the word in ps and try it.
func TestExecStepByHand(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing":     {nil, `prefork: exec-step is for the master, which starts its workers by it: use "prefork run"`},
		"no program":  {[]string{"{}"}, "prefork: exec-step is for the master"},
		"no JSON":     {[]string{"--help", "x"}, "prefork: decode exec step: invalid character"},
		"no files":    {[]string{"{}", "x"}, "prefork: decode exec step: 0 files"},
		"many files":  {[]string{`{"files":100000}`, "x"}, "prefork: decode exec step: 100000 files"},
		"wrong types": {[]string{`{"files":"3"}`, "x"}, "prefork: decode exec step: json: cannot unmarshal"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustRun(t, Spec{Program: append([]string{Self, ExecStepArg}, test.args...)})
			if !strings.HasPrefix(got.stderr, test.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("got %q, want one line that begins with %q", got.stderr, test.want)
			}
			if want := (Status{Code: CodeStepFailed}); got.status != want {
				t.Errorf("got %v, want %v", got.status, want)
			}
		})
	}
}

// A program that nobody but its owner may run, seen by somebody else.
func TestExplainForbidden(t *testing.T) {
	t.Parallel()
	path := fileIn(t, t.TempDir(), "app", "", 0o700)
	if got, want := explainForbidden(path), "mode 0700): check its owner, its interpreter, and the mount option noexec"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
	if got, want := explainForbidden(path+"/x"), "a folder on its path may not be entered"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
}

func TestRefuseNamesUnusualErrorsToo(t *testing.T) {
	t.Parallel()
	err := refuse("/srv/app", unix.ELOOP)
	if got, want := err.Error(), "cannot run /srv/app: too many levels of symbolic links"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestElfMachine(t *testing.T) {
	t.Parallel()
	if got, ok := elfMachine(head(Self)); !ok || got != runtime.GOARCH {
		t.Errorf("our own image: got %q, %v, want %q", got, ok, runtime.GOARCH)
	}
	big := "\x7fELF\x02\x02\x01" + strings.Repeat("\x00", 11) + "\x00\x16"
	if got, ok := elfMachine([]byte(big)); !ok || got != "s390x" {
		t.Errorf("big-endian: got %q, %v, want s390x", got, ok)
	}
	if got, ok := elfMachine([]byte(big[:19])); ok {
		t.Errorf("cut short: got %q, want nothing", got)
	}
}
