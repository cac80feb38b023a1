package process

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testproc"
)

func TestMain(m *testing.M) {
	// What outlives a worker becomes our child, so that a test can wait for it.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(testproc.Main(m,
		testproc.Command{Name: ExecStepArg, Run: ExecStep, Indirect: true},
		testproc.Command{Name: "say-args", Run: sayArgs},
		testproc.Command{Name: "flood", Run: flood},
		testproc.Command{Name: "starving-master", Run: starvingMaster},
		testproc.Command{Name: "limited-master", Run: limitedMaster},
		testproc.Command{Name: "deleted-master", Run: deletedMaster},
		testproc.Command{Name: "reuse-pid", Run: reusePID, Indirect: true}, // its test needs root
	))
}

// impersonate is the Spec.Program that is one of the commands above.
func impersonate(t testing.TB, name string, args ...string) []string {
	t.Helper()
	return append([]string{Self}, testproc.ImpersonateArgv(t, name, args...)[1:]...)
}

// commandEnv is what testproc gives its commands, for a worker with an
// environment of its own: a quick exit under -race and no complaint under -cover.
func commandEnv() []string {
	return []string{"GOCOVERDIR=" + os.Getenv("GOCOVERDIR"), "GORACE=" + os.Getenv("GORACE")}
}
