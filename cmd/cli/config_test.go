package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"prefork/internal/testproc"
)

// TestReloadReadsTheFileAgain: what stands in it holds, unless a flag says
// otherwise, and a flag still says so after the reload.
func TestReloadReadsTheFileAgain(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), "workers = 1\nidentify = true\nname = \"shop\"\n")
	m, st := ready(t, "--config", file, "--name", "flag")
	if st.Name != "flag" || len(st.Ready()) != 1 || !strings.Contains(get(t, addr(st)), "Prefork-Worker:") {
		t.Errorf("started as %+v", st)
	}
	write(t, file, "workers = 2\n")
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Fatalf("reload: %v", r)
	}
	st = m.AwaitStatus(t, "the new file's workers alone", func(s testproc.Status) bool { return len(s.Workers) == 2 })
	if st.Name != "flag" || strings.Contains(get(t, addr(st)), "Prefork-Worker:") {
		t.Errorf("after the reload: %+v", st)
	}
}

// TestRefusedReloadsChangeNothing: the file is broken, gone, or wants what needs a
// new start.
func TestRefusedReloadsChangeNothing(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), "workers = 1\n")
	m, before := ready(t, "--config", file)
	refused := func(says ...string) {
		t.Helper()
		r := m.Run(t, "reload")
		if r.Code != 2 || strings.Count(r.Stderr, "\n") != len(says) {
			t.Errorf("reload: %v, want exit code 2 and %d lines", r, len(says))
		}
		for _, part := range says {
			if !strings.Contains(r.Stderr, part) {
				t.Errorf("reload says %q, and not %q", r.Stderr, part)
			}
		}
	}
	write(t, file, "workers = 3\nlog-level = debug\n[server]\n")
	refused(file+`:2:13: text stands in quotes: write log-level = "debug"`, file+":3:2: [server]: there is no table")
	write(t, file, "workers = 3\nname = \"b\"\npid-file = \"/b\"\nlog-file = \"/b2\"\nlog-format = \"json\"\n")
	refused(`name "b": a reload cannot change it from "prefork"`, `pid-file "/b"`, `log-file "/b2"`, `log-format "json"`)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused(`--config "` + file + `": there is no such file`)
	m.Signal(t, syscall.SIGHUP)
	testproc.Await(t, "the refusal in the log", func() bool {
		return strings.Count(m.Output(), "there is no such file") == 2
	})
	after := m.Status(t)
	if after.Generation != before.Generation || after.Workers[0].PID != before.Workers[0].PID || len(after.Workers) != 1 {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	write(t, file, "workers = 2\n")
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Errorf("reload of the corrected file: %v", r)
	}
}

func TestReloadChangesTheLogLevel(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), "workers = 1\nlog-level = \"error\"\n")
	m, _ := ready(t, "--config", file)
	if strings.Contains(m.Output(), "prefork serves") {
		t.Errorf("the log is too talkative:\n%s", m.Output())
	}
	write(t, file, "workers = 1\nlog-level = \"debug\"\n")
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Fatalf("reload: %v", r)
	}
	m.AwaitLine(t, `"level":"debug"`)
}

// TestRelativePaths begin at the folder of the start. Not parallel: it changes its
// own folder.
func TestRelativePaths(t *testing.T) {
	testproc.Binary(t) // while the module is still here
	t.Chdir(testproc.SocketDir(t))
	write(t, "shop.toml", "workers = 1\ncontrol = \"control.sock\"\n")
	r := inProcess(nil, "check", "-c", "shop.toml")
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# " + folder + "/shop.toml:1\n", `control = "` + folder + `/control.sock"`} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("check does not say %s:\n%s%s", want, r.stdout, r.stderr)
		}
	}
	m, _ := ready(t, "-c", "shop.toml")
	write(t, "shop.toml", "workers = 2\n")
	if r := m.Run(t, "reload"); r.Code != 0 || len(m.Status(t).Ready()) != 2 {
		t.Errorf("reload: %v", r)
	}
}

// TestStaticServesAFolder without anybody naming its engine.
func TestStaticServesAFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "index.html"), "what stands in the folder\n")
	_, st := ready(t, "--workers", "1", "--app", "static", "--root", root)
	if a := get(t, addr(st)); !strings.Contains(a, "200 OK") || !strings.Contains(a, "what stands in the folder") {
		t.Errorf("static answers %q", a)
	}
}

// TestCommandAndEnvironmentReachTheWorker: arguments word for word, also those
// that look like prefork's own, and variables of the file, anew at a reload.
func TestCommandAndEnvironmentReachTheWorker(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), "app = \"echo\"\nenvironment.GREETING = \"good morning\"\n")
	m, _ := ready(t, "-w", "1", "-c", file, "--ready", "delay:1ms", "--", "sh", "-c", `echo "$0 $1: $GREETING"; exec sleep 1000`, "--workers", "-1")
	m.AwaitLine(t, "--workers -1: good morning")
	write(t, file, "environment.GREETING = \"good night\"\n")
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Fatalf("reload: %v", r)
	}
	m.AwaitLine(t, "--workers -1: good night")
}

func TestRunRefusesABrokenFile(t *testing.T) {
	t.Parallel()
	dir := testproc.SocketDir(t)
	file := write(t, filepath.Join(t.TempDir(), "shop.toml"), "workers = many\n")
	oneLine(t, command(t, "run", "--control", filepath.Join(dir, "c.sock"), "-c", file), 2, file+":1:11: ", `write for example workers = "auto"`)
	nothingIn(t, dir)
}
