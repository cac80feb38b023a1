package worker

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mustListen makes a listening socket outside of Go's own poller, as the master
// has them.
func mustListen(t testing.TB) (listener *os.File, address string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	listener = os.NewFile(uintptr(fd), "listening socket")
	t.Cleanup(func() { _ = listener.Close() }) // some tests close it themselves
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 64); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return listener, fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// queueLength is the number of connections that nobody has accepted yet:
// tcpi_unacked of a listening socket.
func queueLength(t testing.TB, listener *os.File) int {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(int(listener.Fd()), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Unacked)
}

// client is one connection to a worker.
type client struct {
	net.Conn
	answers *bufio.Reader
}

func mustDial(t testing.TB, address string) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: conn, answers: bufio.NewReader(conn)}
}

func (c *client) write(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// readAnswer reads one answer whole.
func (c *client) readAnswer(t testing.TB) (head *http.Response, body string) {
	t.Helper()
	head, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(head.Body)
	if err != nil {
		t.Fatal(err)
	}
	return head, string(content)
}

// mustServe asks once on a connection of its own.
func mustServe(t testing.TB, address string) {
	t.Helper()
	c := mustDial(t, address)
	c.mustHello(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// mustHello asks once on this connection.
func (c *client) mustHello(t testing.TB) {
	t.Helper()
	c.write(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	c.mustGetHello(t)
}

func (c *client) mustGetHello(t testing.TB) {
	t.Helper()
	head, body := c.readAnswer(t)
	if head.StatusCode != http.StatusOK || !strings.HasPrefix(body, "hello from slot 2 generation 3 pid ") {
		t.Fatalf("answer is %s %q, want 200 and hello", head.Status, body)
	}
}

// mustEnd checks that the worker closes the connection without a reset. Then it
// closes its own side: the worker waits a while for that.
func (c *client) mustEnd(t testing.TB) {
	t.Helper()
	if rest, err := io.ReadAll(c.answers); err != nil || len(rest) > 0 {
		t.Errorf("after the last answer: %q, %v, want the end", rest, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
