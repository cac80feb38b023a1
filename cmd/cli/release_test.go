package cli

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"prefork/bench/load"
	"prefork/bench/load/loadtest"
	"prefork/internal/testproc"
)

// deployment is a service as its operators know it: a configuration file, and a
// program that a deployment replaces.
type deployment struct {
	config, program string
	settings        map[string]string // TOML values
}

// deploy writes a service of two shell workers; change it and save.
func deploy(t *testing.T) *deployment {
	t.Helper()
	dir := t.TempDir()
	d := &deployment{config: filepath.Join(dir, "prefork.toml"), program: filepath.Join(dir, "shop")}
	d.settings = map[string]string{
		"listen": `["127.0.0.1:0"]`, "workers": "2", "command": fmt.Sprintf("[%q]", d.program),
		"ready": `"auto"`,
	}
	worker, err := filepath.Abs("../../examples/sh/worker.sh")
	if err != nil {
		t.Fatal(err)
	}
	d.release(t, "#!/bin/sh\nexec "+worker+"\n", 0o755)
	d.save(t)
	return d
}

// save puts the configuration in place.
func (d *deployment) save(t *testing.T) {
	t.Helper()
	var text strings.Builder
	for key, value := range d.settings {
		fmt.Fprintf(&text, "%s = %s\n", key, value)
	}
	replaceFile(t, d.config, text.String(), 0o600)
}

// release puts a version of the program in place, as deployments should: by rename.
func (d *deployment) release(t *testing.T, text string, mode os.FileMode) {
	t.Helper()
	replaceFile(t, d.program, text, mode)
}

func replaceFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// run starts the service; --listen is in its file.
func (d *deployment) run(t *testing.T) (*testproc.Master, testproc.Status) {
	t.Helper()
	m := testproc.PreforkAsConfigured(t, "--config", d.config)
	return m, m.AwaitState(t, "serving")
}

// elfOfAnotherMachine is the beginning of a program for s390x, see elf(5).
const elfOfAnotherMachine = "\x7fELF\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16"

// TestBadReleases is guarantee G2: `reload` exits 4 with the reason and the
// program's words, the same processes serve on, and nobody outside has noticed.
func TestBadReleases(t *testing.T) {
	for _, test := range []struct {
		name, program string
		mode          os.FileMode
		want          []string
	}{
		{"exits", "#!/bin/sh\necho \"ImportError: no module named shop\" >&2\nexit 3\n", 0o755, []string{"exit code 3 before it was ready", "ImportError: no module named shop"}},
		{"sleeps for ever", "#!/bin/sh\nexec sleep 1000\n", 0o755, []string{"not ready within start-timeout 3s", "READY=1"}},
		{"deleted", "", 0, []string{"no such file: deleted, moved or not yet built"}},
		{"not executable", "#!/bin/sh\n", 0o644, []string{"not executable (mode 0644): chmod +x it"}},
		{"for another machine", elfOfAnotherMachine, 0o755, []string{"built for s390x, and this machine is"}},
		{"no program", "hello", 0o755, []string{"neither a program nor a script"}},
		{"goes into the background", "#!/bin/sh\nsetsid sleep 1000 &\nexit 0\n", 0o755, []string{"switch off its option to go into the background"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			m, st := d.run(t)
			before := pids(st)
			g := loadtest.Start(t, load.Config{Addr: addr(st), Rate: 20})
			loadtest.Await(t, g, 20)
			if test.name == "sleeps for ever" {
				d.settings["start-timeout"] = `"3s"`
				d.save(t)
			}
			if test.mode == 0 {
				if err := os.Remove(d.program); err != nil {
					t.Fatal(err)
				}
			} else {
				d.release(t, test.program, test.mode)
			}
			r := m.Run(t, "reload")
			for _, part := range append(test.want, "reload rolled back, what served before serves on") {
				if r.Code != 4 || !strings.Contains(r.Stderr, part) {
					t.Errorf("reload does not exit 4 and say %q: %v", part, r)
				}
			}
			loadtest.End(t, g)
			if after := m.Status(t); !maps.Equal(pids(after), before) || after.LastReload.Result != "rolled_back" {
				t.Errorf("%v serve, before it was %v; last reload %+v", pids(after), before, after.LastReload)
			}
		})
	}
}

// TestBadReleaseBySignal: who sends HUP reads the same in log, status and events.
func TestBadReleaseBySignal(t *testing.T) {
	d := deploy(t)
	m, st := d.run(t)
	d.release(t, "#!/bin/sh\necho \"SyntaxError: line 7\" >&2\nexit 3\n", 0o755)
	m.Signal(t, syscall.SIGHUP)
	m.AwaitLine(t, "reload rolled back")
	after := m.AwaitStatus(t, "the roll back", func(s testproc.Status) bool { return s.LastReload.Result == "rolled_back" })
	if !strings.Contains(after.LastReload.Error, "SyntaxError: line 7") || !maps.Equal(pids(after), pids(st)) {
		t.Errorf("status: %+v, workers %v", after.LastReload, pids(after))
	}
	if human := m.Run(t, "status"); !strings.Contains(human.Stdout, "SyntaxError: line 7") {
		t.Errorf("status for people: %v", human)
	}
	m.AwaitLine(t, "SyntaxError: line 7")
	follower := testproc.Start(t, exec.Command(testproc.Binary(t), "events", "--since", "1h", "--control", m.Control))
	follower.AwaitLine(t, "reload rolled back")
	follower.AwaitLine(t, "SyntaxError: line 7")
}

// TestRollingReloadStopsAtTheFirstFailure: with surge = 1 slot 0 has the new
// release when slot 1 fails, and the answer says so.
func TestRollingReloadStopsAtTheFirstFailure(t *testing.T) {
	d := deploy(t)
	d.settings["surge"], d.settings["workers"] = "1", "3"
	d.save(t)
	m, _ := d.run(t)
	text, err := os.ReadFile(d.program)
	if err != nil {
		t.Fatal(err)
	}
	d.release(t, strings.Replace(string(text), "\n", "\n[ $PREFORK_SLOT = 1 ] && exit 3\n", 1), 0o755)
	r := m.Run(t, "reload")
	const want = "slot 1: exit code 3 before it was ready; slots [0] serve generation 2, the others stay as they were"
	if r.Code != 4 || !strings.Contains(r.Stderr, want) {
		t.Errorf("reload does not exit 4 and say %q: %v", want, r)
	}
}

// TestEverythingChangesInOneReload: count, command and addresses.
func TestEverythingChangesInOneReload(t *testing.T) {
	d := deploy(t)
	d.release(t, twoAddresses, 0o755)
	kept, removed, added := freePort(t), freePort(t), freePort(t)
	d.settings["listen"] = fmt.Sprintf("[%q, %q]", kept, removed)
	d.save(t)
	m, st := d.run(t)
	before := pids(st)
	g := loadtest.Start(t, load.Config{Addr: kept, Rate: 20})
	loadtest.Await(t, g, 20)

	// One of the new addresses is taken: nothing changes.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.settings["listen"] = fmt.Sprintf("[%q, %q, %q]", kept, added, taken.Addr())
	d.settings["workers"], d.settings["command"] = "3", fmt.Sprintf("[%q, \"again\"]", d.program)
	d.save(t)
	if r := m.Run(t, "reload"); r.Code != 4 || !strings.Contains(r.Stderr, "is taken by") {
		t.Errorf("reload with a taken address: %v", r)
	}
	if got := m.Status(t); !maps.Equal(pids(got), before) || len(got.Listen) != 2 || got.Generation != 1 {
		t.Errorf("after a reload that was rolled back: %+v", got)
	}
	get(t, removed)
	refused(t, added)

	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if r := m.Run(t, "reload"); r.Code != 0 {
		t.Errorf("reload: %v", r)
	}
	got := m.Status(t)
	if len(got.Ready()) != 3 || len(got.Listen) != 3 || got.Listen[1].Address != added {
		t.Errorf("after the reload: %+v", got)
	}
	for _, address := range []string{kept, added, taken.Addr().String()} {
		get(t, address)
	}
	refused(t, removed)
	loadtest.End(t, g)
}

// twoAddresses is a worker that serves any number of addresses.
const twoAddresses = `#!/usr/bin/perl
$SIG{TERM} = sub { $leaving = 1 };
for (3 .. 2 + $ENV{LISTEN_FDS}) { open my $l, "+<&=", $_ or die; push @listeners, $l; vec($bits, $_, 1) = 1 }
until ($leaving) {
	next unless select(my $ready = $bits, undef, undef, undef) > 0;
	for my $l (grep { vec($ready, fileno $_, 1) } @listeners) {
		accept my $c, $l or next;
		sysread $c, my $request, 4096;
		my $body = "hello from slot $ENV{PREFORK_SLOT} generation $ENV{PREFORK_GENERATION} pid $$\n";
		syswrite $c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
	}
}
`

// freePort is an address that nobody listens on. Somebody else could take it
// meanwhile; the ports of one machine are given in turns.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func refused(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
		t.Errorf("%s takes connections", address)
	}
}
