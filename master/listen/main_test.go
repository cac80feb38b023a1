package listen

import (
	"os"
	"testing"

	"prefork/internal/testproc"
)

func TestMain(m *testing.M) {
	os.Exit(testproc.Main(m, testproc.Command{Name: "hold", Run: hold}, testproc.Command{Name: "inherit", Run: inherit}))
}
