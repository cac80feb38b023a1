package master

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCgroupQuota(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		membership string            // /proc/self/cgroup
		files      map[string]string // cpu.max, by group
		want       float64
	}{
		{name: "no cgroup", want: 0},
		{name: "no limit", membership: "0::/user\n", files: map[string]string{"user": "max 100000\n"}, want: 0},
		{name: "no file", membership: "0::/user\n", want: 0},
		{name: "own", membership: "0::/a/b\n", files: map[string]string{"a/b": "150000 100000\n"}, want: 1.5},
		{name: "above", membership: "0::/a/b\n", files: map[string]string{"a": "200000 100000\n"}, want: 2},
		{name: "the smallest counts", membership: "0::/a/b/c\n", files: map[string]string{
			"a": "50000 100000\n", "a/b": "400000 100000\n", "a/b/c": "max 100000\n",
		}, want: 0.5},
		{name: "of the namespace", membership: "0::/\n", files: map[string]string{"": "300000 100000\n"}, want: 3},
		{name: "version 1 beside it", membership: "12:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/c\n", files: map[string]string{
			"a": "100000 100000\n", "b": "100000 100000\n", "c": "200000 100000\n",
		}, want: 2},
		{name: "outside of the namespace", membership: "0::/../a\n", files: map[string]string{"a": "200000 100000\n"}, want: 2},
		{name: "no period", membership: "0::/a\n", files: map[string]string{"a": "200000\n"}, want: 0},
		{name: "period of nothing", membership: "0::/a\n", files: map[string]string{"a": "200000 0\n"}, want: 0},
		{name: "garbage", membership: "0::/a\n", files: map[string]string{"a": "lots and lots\n"}, want: 0},
		{name: "negative", membership: "0::/a\n", files: map[string]string{"a": "-1 100000\n"}, want: 0},
		{name: "no number", membership: "0::/a\n", files: map[string]string{"a": "NaN 100000\n"}, want: 0},
		{name: "garbage in membership", membership: "::\n0:\n\n", want: 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mount := filepath.Join(dir, "mount")
			for group, text := range test.files {
				mustWrite(t, filepath.Join(mount, group, "cpu.max"), text)
			}
			if test.membership != "" {
				mustWrite(t, filepath.Join(dir, "cgroup"), test.membership)
			}
			if got := cgroupQuota(filepath.Join(dir, "cgroup"), mount); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestUsableCPUs(t *testing.T) {
	t.Parallel()
	if got := usableCPUs(); got < 1 {
		t.Errorf("usableCPUs() = %d, want at least 1", got)
	}
}

func mustWrite(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
