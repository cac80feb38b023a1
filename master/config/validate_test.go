package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := c.Listen[0].String(); got != "127.0.0.1:8080" {
		t.Errorf("listens on %s, want 127.0.0.1:8080", got)
	}
	c.Listen[0].Port = 1
	if got := Default().Listen[0].Port; got != 8080 {
		t.Errorf("changing one default changed the next: port %d", got)
	}
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"longest name":      func(c *Config) { c.Name = strings.Repeat("a", NameMax) },
		"every character":   func(c *Config) { c.Name = "a.B_9-" },
		"most workers":      func(c *Config) { c.Workers = SlotsMax },
		"several addresses": func(c *Config) { c.Listen = addresses(t, "127.0.0.1:80", "127.0.0.1:81", "[::1]:80") },
		"every kind": func(c *Config) {
			c.Listen = addresses(t, "127.0.0.1:80", "unix:/a", "unix:/b", "systemd:a", "systemd:b")
		},
		"two free ports":           func(c *Config) { c.Listen = addresses(t, "127.0.0.1:0", "127.0.0.1:0") },
		"echo":                     func(c *Config) { c.App = "echo" },
		"no body at all":           func(c *Config) { c.MaxBody = 0 },
		"longest control path":     func(c *Config) { c.Control = "/" + strings.Repeat("a", SocketPathMax-1) },
		"static":                   func(c *Config) { c.App, c.Engine = "static", "goroutines" },
		"command":                  func(c *Config) { c.Command = []string{"sh", "-c", "", "--"} },
		"environment":              func(c *Config) { c.Environment = map[string]string{"NOTIFY_SOCKETS": "", "a.b": "="} },
		"ready when it says so":    func(c *Config) { c.Ready = Ready{Notify: true} },
		"ready in time":            func(c *Config) { c.Ready = Ready{After: 29 * time.Second} },
		"both families, two ports": func(c *Config) { c.Listen = addresses(t, ":80", "0.0.0.0:81") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			change(&c)
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no name", func(c *Config) { c.Name = "" }, `name "": no name`},
		{"name too long", func(c *Config) { c.Name = strings.Repeat("a", 65) }, `65 characters are too many`},
		{"name with a slash", func(c *Config) { c.Name = "a/b" }, `name "a/b": it becomes a file name, and "/" cannot stand in it`},
		{"name with an umlaut", func(c *Config) { c.Name = "für" }, `"ü" cannot stand in it`},
		{"hidden name", func(c *Config) { c.Name = ".a" }, `would be a hidden file or look like a flag`},
		{"name like a flag", func(c *Config) { c.Name = "-a" }, `would be a hidden file or look like a flag`},
		{"no address", func(c *Config) { c.Listen = nil }, `listen "": no address`},
		{"too many addresses", func(c *Config) { c.Listen = make([]Address, AddressesMax+1) }, `listen "65 addresses": each costs a socket`},
		{"same address twice", func(c *Config) { c.Listen = addresses(t, "127.0.0.1:80", "localhost:80") }, `listen "localhost:80": it overlaps 127.0.0.1:80`},
		{"all and one", func(c *Config) { c.Listen = addresses(t, "127.0.0.1:80", "0.0.0.0:80") }, `listen "0.0.0.0:80": it overlaps 127.0.0.1:80`},
		{"both families and one", func(c *Config) { c.Listen = addresses(t, ":80", "0.0.0.0:80") }, `listen "0.0.0.0:80": it overlaps :80`},
		{"both families twice", func(c *Config) { c.Listen = addresses(t, "*:80", "[::]:80") }, `listen "[::]:80": it overlaps *:80`},
		{"same file twice", func(c *Config) { c.Listen = addresses(t, "unix:/a", "unix:/a,mode=0600") }, `listen "unix:/a,mode=0600": it overlaps unix:/a`},
		{"same name twice", func(c *Config) { c.Listen = addresses(t, "systemd:a", "systemd:a") }, `listen "systemd:a": it overlaps systemd:a`},
		{"address made by hand", func(c *Config) { c.Listen = []Address{{Host: "example.org", Port: 1}} }, `listen "example.org:1": "example.org" is a host name`},
		{"workers negative", func(c *Config) { c.Workers = -1 }, `workers "-1": not a count`},
		{"too many workers", func(c *Config) { c.Workers = SlotsMax + 1 }, `workers "1025": not a count`},
		{"app mistyped", func(c *Config) { c.App = "helo" }, `app "helo": unknown: did you mean hello?`},
		{"app unknown", func(c *Config) { c.App = "apache" }, `app "apache": unknown: write one of hello, static, echo`},
		{"echo by net/http", func(c *Config) { c.App, c.Engine = "echo", "goroutines" }, `engine "goroutines": the app echo needs the engine reactor`},
		{"engine", func(c *Config) { c.Engine = "Reactor" }, `engine "Reactor": unknown: did you mean reactor?`},
		{"queue", func(c *Config) { c.Queue = "" }, `queue "": unknown: write one of slot, shared`},
		{"root", func(c *Config) { c.Root = "" }, `root "": no folder`},
		{"root with a zero byte", func(c *Config) { c.Root = "/\x00" }, `a path cannot hold a zero byte`},
		{"never ready", func(c *Config) { c.Ready = Ready{} }, `ready "delay:0s": not a way to be ready`},
		{"ready in a way without a name", func(c *Config) { c.Ready.After = time.Minute }, `ready "notify or delay:1m": not a way to be ready`},
		{"ready too late", func(c *Config) { c.Ready = Ready{After: 30 * time.Second} }, `ready "delay:30s": start-timeout is 30s, so no worker would ever be ready`},
		{"stop signal", func(c *Config) { c.StopSignal = "STOP" }, `stop-signal "STOP": no program can catch it`},
		{"program without a name", func(c *Config) { c.Command = []string{"", "a"} }, `command "": no program`},
		{"zero byte in an argument", func(c *Config) { c.Command = []string{"a", "b\x00"} }, `command "b\x00": no program can be given a zero byte`},
		{"variable without a name", func(c *Config) { c.Environment = map[string]string{"": "a"} }, `environment "": a variable needs a name`},
		{"name with =", func(c *Config) { c.Environment = map[string]string{"a=b": "c"} }, `environment "a=b": the name of a variable cannot hold =`},
		{"variable of prefork", func(c *Config) { c.Environment = map[string]string{"LISTEN_PID": "1"} }, `environment "LISTEN_PID": prefork sets this variable`},
		{"zero byte in a variable", func(c *Config) { c.Environment = map[string]string{"A": "\x00"} }, `environment "A": the value of a variable cannot hold a zero byte`},
		{"no surge", func(c *Config) { c.Surge = Surge{} }, `surge "0": without room for one new worker`},
		{"both surges", func(c *Config) { c.Surge = Surge{Count: 1, Percent: 2} }, `surge "1 and 2%": a count and a share at once`},
		{"surge beyond all", func(c *Config) { c.Surge = Surge{Percent: 101} }, `surge "101%": not a count`},
		{"rebalance", func(c *Config) { c.Rebalance = "perhaps" }, `rebalance "perhaps": unknown: write one of on, off`},
		{"helpers below zero", func(c *Config) { c.Helpers = -1 }, `helpers "-1": not a count of siblings`},
		{"helpers beyond all", func(c *Config) { c.Helpers = HelpersMax + 1 }, `helpers "17": not a count of siblings: write a number from 0 (nobody) to 16`},
		{"siblings without a command", func(c *Config) { c.SiblingFDs = true }, `sibling-fds "true": the built-in workers help each other without it`},
		{"no start time", func(c *Config) { c.StartTimeout = 0 }, `start-timeout "0s": it would be over before it begins`},
		{"drain in the past", func(c *Config) { c.DrainTimeout = -time.Second }, `drain-timeout "-1s": it would be over`},
		{"a spread backwards", func(c *Config) { c.DrainSpread = -time.Second }, `drain-spread "-1s": it would be over before it begins`},
		{"a spread beyond the drain", func(c *Config) { c.DrainSpread = time.Hour }, `drain-spread "1h": longer than drain-timeout, which is 30s`},
		{"hang too soon", func(c *Config) { c.HangTimeout = time.Second }, `hang-timeout "1s": an idle worker shows a sign of life once a second`},
		{"idle", func(c *Config) { c.IdleTimeout = 0 }, `idle-timeout "0s"`},
		{"header", func(c *Config) { c.HeaderTimeout = 0 }, `header-timeout "0s"`},
		{"body for ever", func(c *Config) { c.BodyTimeout = 1 << 62 }, `longer than 30 days`},
		{"orphan", func(c *Config) { c.OrphanTimeout = 0 }, `orphan-timeout "0s"`},
		{"header too small", func(c *Config) { c.MaxHeader = 10 }, `max-header "10B": each connection may hold that much memory, so the limits are 256B to 1MiB`},
		{"body negative", func(c *Config) { c.MaxBody = -1 }, `max-body "-1B"`},
		{"body too large", func(c *Config) { c.MaxBody = SizeMax + 1 }, `the limits are 0B to 1GiB`},
		{"log format", func(c *Config) { c.LogFormat = "jsno" }, `log-format "jsno": unknown: did you mean json?`},
		{"log level", func(c *Config) { c.LogLevel = "warning" }, `log-level "warning": unknown: did you mean warn?`},
		{"no log level", func(c *Config) { c.LogLevel = "" }, `log-level "": unknown: write one of debug, info, warn, error`},
		{"control too long", func(c *Config) { c.Control = "/" + strings.Repeat("a", SocketPathMax) }, `108 bytes, and the kernel takes at most 107`},
		{"control abstract", func(c *Config) { c.Control = "@web" }, `an abstract socket has no permissions`},
		{"pid file is a folder", func(c *Config) { c.PIDFile = "/run/" }, `pid-file "/run/": this is a folder`},
		{"zero byte", func(c *Config) { c.LogFile = "a\x00b" }, `log-file "a\x00b": a path cannot hold a zero byte`},
		{"one file for two", func(c *Config) { c.PIDFile, c.LogFile = "/run/a", "/run/a" }, `log-file "/run/a": pid-file is the same file`},
		{"one file for an address and the control socket", func(c *Config) {
			c.Listen, c.Control = []Address{mustAddress("unix:/run/a")}, "/run/a"
		}, `control "/run/a": listen is the same file`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			tc.change(&c)
			err := c.Validate()
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %s\nwant it to contain %s", err, tc.want)
			}
			checkOneLine(t, err)
		})
	}
}

// TestValidateGivesAllAtOnce counts the zero Config's problems, since nobody
// wants to correct a file one error at a time.
func TestValidateGivesAllAtOnce(t *testing.T) {
	t.Parallel()
	joined, ok := Config{}.Validate().(interface{ Unwrap() []error })
	if !ok {
		t.Fatal("the problems are not joined")
	}
	var keys []string
	for _, err := range joined.Unwrap() {
		var problem *Problem
		if !errors.As(err, &problem) {
			t.Fatalf("%v is not a *Problem", err)
		}
		keys = append(keys, problem.Key)
	}
	want := "name listen app engine root queue rebalance ready stop-signal surge start-timeout drain-timeout hang-timeout idle-timeout header-timeout body-timeout orphan-timeout max-header log-level"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("got problems with  %s\nwant problems with %s", got, want)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	known := []string{"hello", "echo", "listen", "drain-timeout", "start-timeout", "error"}
	for word, want := range map[string]string{
		"helo": "hello", "ecoh": "echo", "Listen": "listen", "lisen": "listen", "drian-timeout": "drain-timeout",
		"drain_timeout": "drain-timeout", "err": "error", "er": "", "errors": "error", "zebra": "", "": "", "xyz": "",
		strings.Repeat("hello", 100): "",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestControlPath(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, xdg string
		uid       int
		want      string
	}{
		{"root", "", 0, "/run/prefork/web.sock"},
		{"root with a runtime folder", "/run/user/0", 0, "/run/prefork/web.sock"},
		{"user", "/run/user/1000", 1000, "/run/user/1000/prefork/web.sock"},
		{"user without a runtime folder", "", 1000, "/tmp/prefork-1000/web.sock"},
		{"relative runtime folder", "run", 1000, "/tmp/prefork-1000/web.sock"},
	} {
		if got := ControlPath("web", tc.uid, tc.xdg); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestLockPath(t *testing.T) {
	t.Parallel()
	for control, want := range map[string]string{
		"/run/prefork/web.sock": "/run/prefork/web.lock",
		"/srv/other":            "/srv/web.lock",
		"here.sock":             "web.lock",
	} {
		if got := LockPath(control, "web"); got != want {
			t.Errorf("LockPath(%q) = %q, want %q", control, got, want)
		}
	}
}

func addresses(t testing.TB, texts ...string) []Address {
	t.Helper()
	var list []Address
	for _, s := range texts {
		a, err := ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}
