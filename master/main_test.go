package master

import (
	"os"
	"testing"

	"prefork/internal/testproc"
	"prefork/master/process"
	realworker "prefork/worker"
)

// TestMain lets the test binary be everything that a master consists of: the
// master itself, the exec step that its image becomes, and the workers.
func TestMain(m *testing.M) {
	os.Exit(testproc.Main(m,
		testproc.Command{Name: process.ExecStepArg, Run: process.ExecStep, Indirect: true},
		testproc.Command{Name: workerCommand, Run: beWorker, Indirect: true},
		testproc.Command{Name: realworker.Arg, Run: func([]string) int { return realworker.Live(realworker.BuiltIn) }, Indirect: true},
		testproc.Command{Name: programCommand, Run: beProgram, Indirect: true},
		testproc.Command{Name: partCommand, Run: bePart, Indirect: true},
		testproc.Command{Name: lodgerCommand, Run: beLodger, Indirect: true},
		testproc.Command{Name: masterCommand, Run: beMaster},
		testproc.Command{Name: stormCommand, Run: beInAStorm},
	))
}
