package steer

import (
	"os"
	"testing"

	"prefork/internal/testproc"
)

func TestMain(m *testing.M) { os.Exit(testproc.Main(m)) }
