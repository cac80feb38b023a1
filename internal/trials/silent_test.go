package trials

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"prefork/internal/testproc"
)

// TestShrinkBeforeClientsSpeak: a client that has connected and said nothing yet is
// in nobody's hands and in no queue that the kernel shows (TCP_DEFER_ACCEPT). It
// speaks at any moment around the end of its slot, and is answered.
func TestShrinkBeforeClientsSpeak(t *testing.T) {
	t.Parallel()
	const clients = 60
	for name, args := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, args...)
			for round := range size(2, 20) {
				var conns []net.Conn
				for range clients {
					conn, err := net.Dial("tcp4", s.addr)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					conns = append(conns, conn)
				}
				if r := s.Run(t, "scale", "1"); r.Code != 0 {
					t.Fatalf("scale 1: %v", r)
				}
				lost := 0
				for _, conn := range conns {
					if err := speak(conn, s.addr); err != nil {
						lost++
						t.Logf("round %d: %v", round, err)
					}
					pace(2 * time.Millisecond)
				}
				if lost > 0 {
					t.Errorf("%d of %d silent clients were lost by a shrink", lost, clients)
				}
				s.awaitCalm(t, 1)
				s.scale(t, workers)
			}
			s.checkLog(t)
		})
	}
}

func speak(conn net.Conn, host string) error {
	if err := conn.SetDeadline(time.Now().Add(testproc.Patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		return fmt.Errorf("answer %q", answer)
	}
	return nil
}
