package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// hello is what a worker of the hello app answers.
const hello = "hello from slot 2 generation 3 pid 4242\n"

// hangup says what a scripted server does with a connection after its script.
type hangup int

const (
	closeInOrder   hangup = iota // FIN; reads on, so that a request after it is not met by RST
	closeByReset                 // RST
	hold                         // nothing, until the test ends
	waitForRequest               // the same script once more, for the next request
)

// serveHello starts net/http's server with the hello app.
func serveHello(t testing.TB) (addr string) {
	t.Helper()
	return serveHTTP(t, listen(t, "tcp4", "127.0.0.1:0"), func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, hello) // a client that left is the client's loss
	})
}

func serveHTTP(t testing.TB, l net.Listener, handler http.HandlerFunc) (addr string) {
	t.Helper()
	server := &http.Server{Handler: handler}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close() // ends Serve, whose error counts
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// serveScript starts a server that answers each connection's request with the
// same bytes and then ends it as told.
func serveScript(t testing.TB, answer string, end hangup) (addr string) {
	t.Helper()
	l := listen(t, "tcp4", "127.0.0.1:0")
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			running.Go(func() { playScript(conn, answer, end, over) })
		}
	})
	t.Cleanup(func() {
		close(over)
		_ = l.Close() // ends Accept
		running.Wait()
	})
	return l.Addr().String()
}

func playScript(conn net.Conn, answer string, end hangup, over <-chan struct{}) {
	defer conn.Close()
	input := bufio.NewReader(conn)
	for {
		if _, err := http.ReadRequest(input); err != nil {
			return // the client has left
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
		switch end {
		case waitForRequest:
			continue
		case closeByReset:
			_ = conn.(*net.TCPConn).SetLinger(0) // or the test fails by class
		case closeInOrder:
			_ = conn.(*net.TCPConn).CloseWrite() // fails when the client has left
			_, _ = io.Copy(io.Discard, input)
		case hold:
			<-over
		}
		return
	}
}

func listen(t testing.TB, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// refusingAddr is an address that is taken but does not listen, so that nobody
// else can begin to.
func refusingAddr(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // carries nothing
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// mustRun runs a load and checks the sums that every report promises.
func mustRun(t testing.TB, cfg Config) Report {
	t.Helper()
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, report)
	return report
}

func checkSums(t testing.TB, r Report) {
	t.Helper()
	failed := 0
	for _, n := range r.Failed {
		failed += n
	}
	if r.Scheduled != r.Sent+r.Unsent || r.Sent != r.Answered+failed {
		t.Errorf("sums do not hold:\n%s", r)
	}
}

// respond writes an answer's head and body.
func respond(body string, headers ...string) string {
	text := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n", len(body))
	for _, header := range headers {
		text += header + "\r\n"
	}
	return text + "\r\n" + body
}

// listenIPv6 skips the test on a machine without IPv6, which many containers are.
func listenIPv6(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	return l
}
