package goroutines

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// needPlain are the tests in which somebody accepts later, or on another socket: a
// handshake would wait for it.
var needPlain = []string{
	"TestEverythingOverTLS", "TestDrainEmptiesTheQueues", "TestDrainEmptiesSiblingsToo", "TestHelpServesASibling",
	"TestOutOfDescriptors", "TestBeatFollowsTheAcceptLoop", "TestAcceptingWaitsForReaders",
}

// TLS changes nothing of what the other tests say about HTTP/1: the limits to the byte,
// the drain in the middle of a request, ends without a reset.
func TestEverythingOverTLS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it runs all the other tests again")
	}
	skip := "^(" + strings.Join(needPlain, "|") + ")$"
	cmd := exec.Command(os.Args[0], "-test.skip", skip, "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), tlsVariable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
