package master

import (
	"testing"

	"prefork/master/config"
)

// TestProgramKeyKnowsTLS: connections that wait to speak TLS must not be accepted by
// who does not, and the other way round.
func TestProgramKeyKnowsTLS(t *testing.T) {
	t.Parallel()
	plain := config.Config{App: "hello", Engine: "goroutines"}
	secure := plain
	secure.TLSCert, secure.TLSKey = "/cert", "/key"
	if programKey(1, plain) == programKey(2, secure) {
		t.Error("with TLS and without they share sockets")
	}
	renewed := secure
	renewed.TLSCert = "/other"
	if programKey(2, secure) != programKey(3, renewed) {
		t.Error("another certificate needs sockets of its own")
	}
}
