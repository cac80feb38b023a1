package config

import (
	"strings"
	"testing"
)

func TestParseAddressAcceptsOtherKinds(t *testing.T) {
	t.Parallel()
	longest := "unix:/" + strings.Repeat("a", UnixPathMax-1)
	for in, want := range map[string]Address{
		"unix:/run/web.sock":           {Network: "unix", Path: "/run/web.sock", Mode: 0o666},
		"unix:/run/web.sock,mode=0660": {Network: "unix", Path: "/run/web.sock", Mode: 0o660},
		"unix:/run/web.sock,mode=0":    {Network: "unix", Path: "/run/web.sock"},
		"unix:/a,group=www-data,user=0,mode=600": {
			Network: "unix", Path: "/a", Mode: 0o600, User: "0", Group: "www-data",
		},
		"unix:/run/für das netz": {Network: "unix", Path: "/run/für das netz", Mode: 0o666},
		longest:                  {Network: "unix", Path: longest[len("unix:"):], Mode: 0o666},
		"systemd:web":            {Network: "systemd", Name: "web"},
		"systemd:web@1.socket":   {Network: "systemd", Name: "web@1.socket"},
	} {
		got, err := ParseAddress(in)
		if err != nil || got != want {
			t.Errorf("ParseAddress(%q) = %+v, %v, want %+v", in, got, err, want)
			continue
		}
		if again, err := ParseAddress(got.String()); err != nil || again != got {
			t.Errorf("%q prints as %q, which is %+v, %v", in, got, again, err)
		}
	}
	if got := mustAddress("unix:/a,mode=0666").String(); got != "unix:/a" {
		t.Errorf("the default mode is printed: %q", got)
	}
	if got := mustAddress("unix:/a,group=b,user=a,mode=7").String(); got != "unix:/a,mode=0007,user=a,group=b" {
		t.Errorf("got %q", got)
	}
}

func TestParseAddressRefusesOtherKinds(t *testing.T) {
	t.Parallel()
	checkRefusals(t, func(s string) error { _, err := ParseAddress(s); return err }, []refusal{
		{"no path", "unix:", `no path`},
		{"options only", "unix:,mode=0660", `no path`},
		{"abstract", "unix:@web", `an abstract socket has no permissions`},
		{"relative", "unix:run/web.sock", `the path is relative`},
		{"relative with a dot", "unix:./web.sock", `the path is relative`},
		{"URL", "unix:///run/web.sock", `a path with detours: write unix:/run/web.sock`},
		{"detour", "unix:/run/../tmp/web.sock", `write unix:/tmp/web.sock`},
		{"folder", "unix:/run/", `this is a folder`},
		{"root", "unix:/", `this is a folder`},
		{"too long", "unix:/" + strings.Repeat("a", UnixPathMax), `106 bytes, and the kernel takes at most 107, of which a reload needs 2`},
		{"zero byte", "unix:/a\x00b", `cannot be printed`},
		{"line break", "unix:/a\nb", `cannot be printed`},
		{"not UTF-8", "unix:/a\xff", `cannot be printed`},
		{"mode in decimal", "unix:/a,mode=0999", `the mode "0999" is not an octal number from 0 to 777: write for example mode=0660`},
		{"mode with sticky bit", "unix:/a,mode=1777", `not an octal number`},
		{"mode by letters", "unix:/a,mode=rw", `not an octal number`},
		{"no mode", "unix:/a,mode", `the mode "" is not`},
		{"no user", "unix:/a,user=", `user="" names nobody`},
		{"user with a space", "unix:/a,user=a b", `names nobody`},
		{"endless group", "unix:/a,group=" + strings.Repeat("g", 65), `names nobody`},
		{"twice", "unix:/a,mode=1,mode=2", `the option "mode" stands there twice`},
		{"slip", "unix:/a,moed=1", `unknown option "moed": did you mean mode=?`},
		{"comma", "unix:/a,b", `the path cannot hold a comma`},
		{"comma at the end", "unix:/a,", `unknown option ""`},
		{"no name", "systemd:", `no name: write the FileDescriptorName= of a .socket unit`},
		{"name with a colon", "systemd:a:b", `":" cannot stand in such a name`},
		{"name with a space", "systemd:a b", `" " cannot stand in such a name`},
		{"name too long", "systemd:" + strings.Repeat("a", 256), `256 characters`},
	})
}

func TestSamePlace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b           string
		same, overlaps bool
	}{
		{"127.0.0.1:80", "localhost:80", true, true},
		{":80", "[::]:80", true, true},
		{":80", "0.0.0.0:80", false, true},
		{"127.0.0.1:80", "127.0.0.1:81", false, false},
		{"127.0.0.1:0", "localhost:0", true, false},
		{"127.0.0.1:0", "[::1]:0", false, false},
		{"unix:/a", "unix:/a,mode=0600", true, true},
		{"unix:/a", "unix:/b", false, false},
		{"unix:/a", "127.0.0.1:80", false, false},
		{"systemd:a", "systemd:a", true, true},
		{"systemd:a", "systemd:b", false, false},
		{"systemd:a", "unix:/a", false, false},
	} {
		a, b := mustAddress(tc.a), mustAddress(tc.b)
		if a.SamePlace(b) != tc.same || b.SamePlace(a) != tc.same || a.Overlaps(b) != tc.overlaps || b.Overlaps(a) != tc.overlaps {
			t.Errorf("%s and %s: same place %v, overlap %v, want %v, %v", a, b, a.SamePlace(b), a.Overlaps(b), tc.same, tc.overlaps)
		}
	}
}
