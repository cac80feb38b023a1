package worker

import (
	"errors"
	"testing"
)

func TestReportIsOneLine(t *testing.T) {
	t.Parallel()
	got := reportLine(errors.Join(errors.New("first"), errors.New("second")))
	if want := "prefork worker: first; second\n"; got != want {
		t.Errorf("reportLine = %q, want %q", got, want)
	}
}
