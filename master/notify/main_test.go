package notify

import (
	"os"
	"testing"

	"prefork/internal/testproc"
)

func TestMain(m *testing.M) {
	os.Exit(testproc.Main(m,
		testproc.Command{Name: "family", Run: family},
		testproc.Command{Name: "flood", Run: flood},
		testproc.Command{Name: "crowded", Run: crowded},
	))
}
