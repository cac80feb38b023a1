package process

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

// TestSignalFamilyFindsStrays: who has left the process group is still known by
// the NOTIFY_SOCKET that it began with, and another worker's stray is not.
func TestSignalFamilyFindsStrays(t *testing.T) {
	t.Parallel()
	stray := shell("setsid sleep 1000 & exit 0")
	p := mustStart(t, Spec{Program: stray, Notify: "/nowhere/0.1"})
	other := mustStart(t, Spec{Program: stray, Notify: "/nowhere/0.11"})
	p.Wait()
	other.Wait()
	testproc.Await(t, "the group to be empty", func() bool { return p.SignalGroup(0) != nil && len(p.strays()) == 1 })
	if !p.SignalFamily(0) {
		t.Error("nobody is found")
	}
	endFamily(t, p)
	if _, err := io.ReadAll(p.Stdout); err != nil { // its end of the pipe goes with it
		t.Error(err)
	}
	if !other.SignalFamily(0) {
		t.Error("the other worker's stray is gone as well")
	}
	endFamily(t, other)
}

// endFamily kills a family and waits for those who have become our children (see
// TestMain).
func endFamily(t testing.TB, p *Process) {
	t.Helper()
	strays := p.strays()
	p.SignalFamily(unix.SIGKILL)
	p.Wait()
	for _, pid := range append(strays, -p.PID()) {
		for {
			if _, err := unix.Wait4(pid, nil, 0, nil); err != nil && err != unix.EINTR {
				break // none left
			}
		}
	}
	if p.SignalFamily(0) {
		t.Error("somebody is left")
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	_, fd := mustListen(t)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	listeners := []Listener{{FD: fd, Name: "web"}}
	for _, test := range []struct {
		name, script string
		want         bool
	}{
		{"keeps it", "sleep 1000", true},
		{"closes it", "exec 3>&-; sleep 1000", false},
		{"leaves it to a part", "sleep 1000 & exec 3>&-; sleep 1000", true},
		{"leaves it to a stray", "setsid sleep 1000 & exec 3>&-; sleep 1000", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := mustStart(t, Spec{Program: shell(test.script), Listeners: listeners, Notify: "/nowhere/" + strings.ReplaceAll(test.name, " ", "-")})
			testproc.Await(t, "the last sleep", func() bool {
				holds, err := p.Holds([]uint64{st.Ino})
				return err == nil && holds == test.want
			})
			endFamily(t, p)
		})
	}
}
