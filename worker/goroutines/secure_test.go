package goroutines

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// serveTLS starts an engine that speaks TLS.
func serveTLS(t testing.TB, config Config) *rig {
	t.Helper()
	c := newCredentials(t)
	config.TLS = c.server
	r := newRig(t, config)
	r.client = c.client
	return r.run(t)
}

// Who speaks HTTP where TLS is spoken reads so, and nobody else hears of it.
func TestPlainHTTPIsAnsweredInPlain(t *testing.T) {
	t.Parallel()
	r := serveTLS(t, Config{})
	for _, request := range []string{get, post(3, "abc")} {
		c := dialTo(t, r.address)
		c.write(request)
		response, text := c.answer()
		if response.StatusCode != 400 || text != "Client sent an HTTP request to an HTTPS server.\n" {
			t.Errorf("answer is %s %q, want 400 and why", response.Status, text)
		}
		c.expectEnd()
	}
	if got := r.reported(); len(got) != 0 {
		t.Errorf("reported %v, want nothing", got)
	}
}

// A handshake that comes to nothing costs its connection, and a line if there is
// something to learn from it.
func TestHandshakesThatFail(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		try  func(*rig, net.Conn) error
		want string // in the line; empty: no line
	}{
		{"garbage", func(_ *rig, c net.Conn) error {
			_, err := c.Write([]byte("\x16\x03\x01\x00\x07garbage"))
			return err
		}, "TLS handshake with 127.0.0.1:"},
		{"old version", func(r *rig, c net.Conn) error {
			config := r.client.Clone()
			config.MaxVersion = tls.VersionTLS11
			config.MinVersion = tls.VersionTLS10
			_ = tls.Client(c, config).Handshake()
			return nil
		}, "TLS handshake with 127.0.0.1:"},
		{"silence", func(*rig, net.Conn) error { return nil }, ""},
		{"half a hello", func(_ *rig, c net.Conn) error {
			_, err := c.Write([]byte("\x16\x03\x01\x02\x00"))
			return err
		}, ""},
		{"a look", func(_ *rig, c net.Conn) error { return c.(*net.TCPConn).CloseWrite() }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := serveTLS(t, Config{HeaderTimeout: short})
			c := dialTo(t, r.address)
			must(t, test.try(r, c.Conn))
			if _, err := io.Copy(io.Discard, c.read); err != nil { // perhaps an alert, then the end
				t.Errorf("the engine does not end it: %v", err)
			}
			must(t, c.Close())
			until(t, "it is closed", func() bool { return r.accepted.Load() == 1 && len(r.open()) == 0 })
			reports := r.reported()
			if test.want == "" && len(reports) > 0 || test.want != "" && (len(reports) != 1 || !strings.HasPrefix(reports[0].Error(), test.want)) {
				t.Errorf("reported %v, want %q", reports, test.want)
			}
		})
	}
}

// cutter holds back what is written, once it is told to.
type cutter struct {
	net.Conn
	holds bool
	held  bytes.Buffer
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.holds {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

// A request has begun with the first byte of its record, though nobody can read it
// yet: a drain waits for the rest, wherever the record is cut.
func TestDrainWaitsForTornRecords(t *testing.T) {
	t.Parallel()
	r := serveTLS(t, Config{})
	var clients []*client
	var wires []*cutter
	for _, cut := range []int{1, recordHeaderSize - 1, recordHeaderSize, recordHeaderSize + 1, 30} {
		w := &cutter{Conn: dialTo(t, r.address).Conn}
		c := newClient(t, tls.Client(w, r.client))
		c.write(get)
		c.expect(200, mirrored)
		w.holds = true
		c.write(get)
		_, err := w.Conn.Write(w.held.Next(cut))
		must(t, err)
		clients, wires = append(clients, c), append(wires, w)
	}
	idle := r.dial(t)
	idle.write(get)
	idle.expect(200, mirrored)
	r.resting(t, len(clients)+1)
	r.drain(t)
	idle.expectEnd()
	for i, w := range wires {
		_, err := w.Conn.Write(w.held.Bytes())
		must(t, err)
		w.holds = false
		clients[i].expectLast(200, mirrored)
	}
	r.wait(t)
}

// A client who was in the middle of a handshake when the drain began is served.
func TestDrainWaitsForHandshakes(t *testing.T) {
	t.Parallel()
	r := serveTLS(t, Config{})
	raw := dialTo(t, r.address)
	until(t, "it is accepted", func() bool { return r.accepted.Load() == 1 })
	r.drain(t)
	c := newClient(t, tls.Client(raw.Conn, r.client))
	c.write(get)
	c.expectLast(200, mirrored)
	r.wait(t)
}

// teller tells when something was written.
type teller struct {
	net.Conn
	wrote chan struct{}
	once  sync.Once
}

func (c *teller) Write(p []byte) (int, error) {
	defer c.once.Do(func() { close(c.wrote) })
	return c.Conn.Write(p)
}

// What waits in the queue when the drain begins is served; its handshakes have not
// even begun.
func TestDrainEmptiesTheQueueOverTLS(t *testing.T) {
	t.Parallel()
	credentials := newCredentials(t)
	r := newRig(t, Config{TLS: credentials.server})
	r.client = credentials.client
	var clients sync.WaitGroup
	for range 20 {
		raw := &teller{Conn: dialTo(t, r.address).Conn, wrote: make(chan struct{})}
		c := newClient(t, tls.Client(raw, r.client))
		clients.Go(func() {
			if _, err := io.WriteString(c, get); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			answer, err := io.ReadAll(c)
			if text := string(answer); err != nil || !strings.Contains(text, "Connection: close") || !strings.HasSuffix(text, mirrored) {
				t.Errorf("got %q, %v", text, err)
			}
		})
		<-raw.wrote // or it might not have come to the queue yet
	}
	r.Drain(0, func() { close(r.leftC) })
	r.run(t)
	r.left(t)
	clients.Wait()
	r.wait(t)
	if got := r.accepted.Load(); got != 20 {
		t.Errorf("%d accepted, want 20", got)
	}
}

// Workers that share keys resume each other's sessions, old keys open what they sealed.
func TestSessionsResumeElsewhere(t *testing.T) {
	t.Parallel()
	c := newCredentials(t)
	c.client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	older, newer := [32]byte{1}, [32]byte{2}
	for _, test := range []struct {
		keys [][32]byte
		want bool
	}{
		{[][32]byte{older}, false},
		{[][32]byte{older}, true},
		{[][32]byte{newer, older}, true},
		{[][32]byte{newer}, true}, // the last one has sealed anew
		{[][32]byte{older}, false},
	} {
		server := c.server.Clone()
		server.SetSessionTicketKeys(test.keys)
		r := newRig(t, Config{TLS: server})
		r.client = c.client
		r.run(t)
		conn := r.dial(t)
		conn.write(get)
		conn.expect(200, mirrored)
		if got := conn.Conn.(*tls.Conn).ConnectionState().DidResume; got != test.want {
			t.Errorf("with the keys %v: resumed %v, want %v", test.keys, got, test.want)
		}
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	stream := []byte("\x17\x03\x03\x00\x03abc" + "\x17\x03\x03\x00\x00" + "\x17\x03\x03\x01\x02" + strings.Repeat("x", 258))
	whole := map[int]bool{0: true, 8: true, 13: true, len(stream): true}
	for step := 1; step <= len(stream); step++ {
		var r records
		for at := 0; at < len(stream); {
			n := min(step, len(stream)-at)
			r.pass(stream[at : at+n])
			if at += n; r.torn() == whole[at] {
				t.Fatalf("in steps of %d: torn is %v after %d bytes", step, r.torn(), at)
			}
		}
	}
}

// reader keeps what was read.
type reader struct {
	net.Conn
	read bytes.Buffer
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read.Write(p[:n])
	return n, err
}

// The end of a connection is said within TLS, so that nobody could have cut it short.
func TestEndIsSaidWithinTLS(t *testing.T) {
	t.Parallel()
	const alert = "\x17\x03\x03\x00\x13" // the header of a record that has room for an alert only
	r := serveTLS(t, Config{})
	raw := &reader{Conn: dialTo(t, r.address).Conn}
	c := newClient(t, tls.Client(raw, r.client))
	c.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	c.expectLast(200, mirrored)
	if all := raw.read.String(); strings.LastIndex(all, alert) != len(all)-recordHeaderSize-0x13 {
		t.Errorf("the last record is no alert: %q", all[max(0, len(all)-50):])
	}
}

// A client that takes nothing is given up also where TLS would like to say good-bye.
func TestSecureWriteTimeoutEnds(t *testing.T) {
	t.Parallel()
	r := serveTLS(t, Config{WriteTimeout: short, Handler: endless{}})
	c := r.dial(t)
	c.write(get)
	until(t, "it is given up", func() bool { return r.accepted.Load() == 1 && len(r.open()) == 0 })
	must(t, c.SetDeadline(time.Now()))
}
