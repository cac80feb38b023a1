package proto

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/worker/reactor"
)

const patienceOfTests = time.Minute

// served is HTTP on a reactor on a real socket.
type served struct {
	*reactor.Loop
	address string
	ended   chan error
}

func serve(t *testing.T, config HTTPConfig) *served {
	t.Helper()
	s := &served{ended: make(chan error, 1)}
	config.Draining = func() bool { return s.Draining() }
	h := NewHTTP(config)
	var err error
	s.Loop, err = reactor.New(reactor.Config{NewHandler: h.NewHandler, MaxInput: h.MaxInput()})
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.address = listener.Addr().String()
	raw, err := listener.(syscall.Conn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = s.Listen(int(fd)) }))
	must(t, err)
	go func() { s.ended <- s.Run() }()
	t.Cleanup(func() {
		s.Drain(1, nil) // long past: at once
		if err := s.wait(); err != nil {
			t.Errorf("run: %v", err)
		}
		listener.Close()
	})
	return s
}

func (s *served) wait() error {
	err := <-s.ended
	s.ended <- err
	return err
}

func (s *served) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.address, patienceOfTests)
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(patienceOfTests)))
	t.Cleanup(func() { c.Close() })
	return c
}

func TestServeKeepAlive(t *testing.T) {
	t.Parallel()
	s := serve(t, HTTPConfig{App: Hello{Slot: 1, Generation: 2, PID: 3}.App()})
	dials := 0
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	defer client.CloseIdleConnections()
	for range 10 {
		response, err := client.Get("http://" + s.address + "/")
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		response.Body.Close()
		if want := "hello from slot 1 generation 2 pid 3\n"; string(body) != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
	if dials != 1 {
		t.Errorf("ten requests took %d connections, want 1", dials)
	}
}

// Whatever an application does to one connection, the others do not notice.
func TestServeAppThatFails(t *testing.T) {
	t.Parallel()
	s := serve(t, HTTPConfig{App: ofNetHTTP(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("oops")
		case "/hijack":
			hijack(w, r)
		}
		fmt.Fprintf(w, "%s from %s", r.URL.Path, r.RemoteAddr)
	})})
	other := s.dial(t)
	for _, path := range []string{"/panic", "/hijack"} {
		failing := s.dial(t)
		_, err := fmt.Fprintf(failing, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		must(t, err)
		if got, err := io.ReadAll(failing); len(got) > 0 || err != nil {
			t.Errorf("%s: got %q, %v, want an orderly end", path, got, err)
		}
		_, err = io.WriteString(other, plainGet)
		must(t, err)
		response, err := http.ReadResponse(bufio.NewReader(other), nil)
		must(t, err)
		if got, err := io.ReadAll(response.Body); string(got) != "/ from 0.0.0.0:0" {
			t.Errorf("after %s: got %q, %v", path, got, err)
		}
	}
}

func TestServeExpectContinue(t *testing.T) {
	t.Parallel()
	s := serve(t, HTTPConfig{App: mirror})
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: patienceOfTests}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequest(http.MethodPost, "http://"+s.address+"/", strings.NewReader("hello"))
	must(t, err)
	request.Header.Set("Expect", "100-continue")
	response, err := client.Do(request)
	must(t, err)
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != `POST / body="hello"` {
		t.Errorf("got %q, %v", body, err)
	}
}

// A client in the middle of a long upload reads our refusal, not a reset.
func TestServeRefusesLongUploadReadably(t *testing.T) {
	t.Parallel()
	s := serve(t, HTTPConfig{App: mirror})
	c := s.dial(t)
	const length = 4 << 20
	go func() {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", length)
		_, _ = c.Write(make([]byte, length)) // fails if the server gives up first
	}()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
		t.Errorf("got %s, close %v, want 413 and close", response.Status, response.Close)
	}
	if _, err := io.ReadAll(response.Body); err != nil {
		t.Errorf("read the refusal: %v", err)
	}
}

// The largest requests that the limits allow, both ways, fit into MaxInput.
func TestServeLargestBodies(t *testing.T) {
	t.Parallel()
	const most = 100_000
	s := serve(t, HTTPConfig{App: mirror, MaxBody: most})
	c := s.dial(t)
	read := bufio.NewReader(c)
	body := bytes.Repeat([]byte("x"), most)
	for _, request := range []string{
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", most, body),
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n",
			strings.Repeat("a\r\nxxxxxxxxxx\r\n", most/10)),
	} {
		go func() { _, _ = io.WriteString(c, request) }()
		response, err := http.ReadResponse(read, nil)
		must(t, err)
		got, err := io.ReadAll(response.Body)
		must(t, err)
		if want := fmt.Sprintf("POST / body=%q", body); string(got) != want {
			t.Errorf("got %s and %d bytes, want %d", response.Status, len(got), len(want))
		}
	}
}

// A drain in the middle of requests: each is answered, each answer says that
// it is the last, and the connection ends without a reset.
func TestServeDrain(t *testing.T) {
	t.Parallel()
	s := serve(t, HTTPConfig{App: mirror})
	const request = "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
	conns := make([]net.Conn, 20)
	for i := range conns {
		conns[i] = s.dial(t)
		// Each stops somewhere else: before, in and after the header.
		text := fmt.Sprintf(request, i)
		_, err := io.WriteString(conns[i], text[:i*len(text)/len(conns)])
		must(t, err)
	}
	left := make(chan struct{})
	s.Drain(0, func() { close(left) })
	<-left
	for i, c := range conns {
		text := fmt.Sprintf(request, i)
		_, err := io.WriteString(c, text[i*len(text)/len(conns):])
		must(t, err)
	}
	for i, c := range conns {
		read := bufio.NewReader(c)
		response, err := http.ReadResponse(read, nil)
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		if want := fmt.Sprintf("POST /%d body=%q", i, "body"); string(body) != want || !response.Close {
			t.Errorf("connection %d: got %q, close %v, want %q and close", i, body, response.Close, want)
		}
		if rest, err := io.ReadAll(read); len(rest) > 0 || err != nil {
			t.Errorf("connection %d: then got %q, %v, want an orderly end", i, rest, err)
		}
		must(t, c.Close())
	}
	must(t, s.wait())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
