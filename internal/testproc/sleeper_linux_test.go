package testproc

import (
	"net"
	"testing"
)

// TestSleeper: it is woken by a connection and leaves that where it is.
func TestSleeper(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var s *Sleeper
	if err := raw.Control(func(fd uintptr) { s = NewSleeper(t, int(fd)) }); err != nil {
		t.Fatal(err)
	}
	s.Sleep()
	if s.Rise() {
		t.Error("it was woken although nobody came")
	}
	s.Sleep()
	client, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept() // the connection is there
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	woken := s.Rise()
	t.Logf("woken: %v", woken) // unless it did not sleep yet
	s.Leave()
}
