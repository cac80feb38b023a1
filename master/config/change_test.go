package config

import (
	"strings"
	"testing"
)

func TestRefuseChangeNamesEveryFixedKey(t *testing.T) {
	t.Parallel()
	running, next := Default(), Default()
	next.Name, next.Control, next.PIDFile, next.LogFile, next.LogFormat = "b", "/c", "/p", "/l", "json"
	err := RefuseChange(running, next)
	if err == nil {
		t.Fatal("it was accepted")
	}
	want := `name "b": a reload cannot change it from "prefork": set it back, or stop and start again
control "/c": a reload cannot change it from "": set it back, or stop and start again
pid-file "/p": a reload cannot change it from "": set it back, or stop and start again
log-file "/l": a reload cannot change it from "": set it back, or stop and start again
log-format "json": a reload cannot change it from "": set it back, or stop and start again`
	if got := err.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRefuseChangeAcceptsEverythingElse(t *testing.T) {
	t.Parallel()
	file := `
listen = ["127.0.0.1:81", "[::1]:81"]
workers = 7
command = ["sh"]
root = "/srv"
queue = "shared"
helpers = 3
ready = "notify"
stop-signal = "QUIT"
surge = 1
rebalance = "off"
start-timeout = "1s"
drain-timeout = "2s"
drain-spread = "1s"
hang-timeout = "3s"
idle-timeout = "4s"
header-timeout = "5s"
body-timeout = "6s"
orphan-timeout = "7s"
max-header = "1KiB"
max-body = "2KiB"
identify = true
log-level = "debug"
environment = { A = "b" }
`
	siblings := strings.Replace(file, `queue = "shared"`, `sibling-fds = true`, 1) // one excludes the other
	secure := "\ntls-cert = \"/cert\"\ntls-key = \"/key\""                         // not for a command
	for _, text := range []string{file, siblings, secure} {
		next := mustResolve(t, Sources{File: &File{Path: "shop.toml", Data: []byte(text)}})
		if err := RefuseChange(Default(), next.Config); err != nil {
			t.Error(err)
		}
	}
	for _, k := range Keys() {
		if !k.Fixed && k.Name != "app" && k.Name != "engine" && !strings.Contains(file+siblings+secure, "\n"+k.Name+" = ") {
			t.Errorf("%s is not tried: give it another value in this test, or make it fixed", k.Name)
		}
	}
}
