package worker

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prefork/ipc"
)

func mustWrite(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// serveFolder starts a worker that serves a folder with an index.
func serveFolder(t testing.TB, engine string) (c *child, address, root string) {
	t.Helper()
	root = t.TempDir()
	mustWrite(t, filepath.Join(root, "index.html"), []byte("<p>index"))
	listener, address := mustListen(t)
	c = start(t, listener).serving(t, ipc.Settings{App: appStatic, Engine: engine, Root: root, Identify: true})
	return c, address, root
}

// eachEngine tests the app on both: a client cannot tell them apart.
func eachEngine(t *testing.T, test func(t *testing.T, engine string)) {
	t.Parallel()
	for _, engine := range enginesOf[appStatic] {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

func (c *client) ask(t testing.TB, request string) (head *http.Response, body string) {
	t.Helper()
	c.write(t, request+"\r\nHost: test\r\n\r\n")
	return c.readAnswer(t)
}

func TestServesStatic(t *testing.T) { eachEngine(t, servesStatic) }

func servesStatic(t *testing.T, engine string) {
	c, address, root := serveFolder(t, engine)
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	client := mustDial(t, address)
	for _, test := range []struct {
		request string
		status  int
		body    string
	}{
		{"GET / HTTP/1.1", 200, "<p>index"},
		{"GET / HTTP/1.1\r\nRange: bytes=3-", 206, "index"},
		{"GET /link HTTP/1.1", 404, "not found: /link\n"},
		{"GET /../../../../etc/passwd HTTP/1.1", 404, "not found: /../../../../etc/passwd\n"},
		{"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 404, "not found: /%2e%2e/%2e%2e/etc/passwd\n"},
		{"GET /index.html%00 HTTP/1.1", 404, "not found: /index.html%00\n"},
		{"DELETE / HTTP/1.1", 405, "method not allowed: DELETE — files answer GET and HEAD\n"},
	} {
		head, body := client.ask(t, test.request)
		if head.StatusCode != test.status || body != test.body || !strings.HasPrefix(head.Header.Get("Prefork-Worker"), "slot=2 ") {
			t.Errorf("%q: %d %q, identity %q, want %d %q", test.request, head.StatusCode, body, head.Header.Get("Prefork-Worker"), test.status, test.body)
		}
	}
	head, _ := client.ask(t, "GET / HTTP/1.1")
	if head, body := client.ask(t, "GET / HTTP/1.1\r\nIf-None-Match: "+head.Header.Get("ETag")); head.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("with its ETag: %s %q, want 304", head.Status, body)
	}
	c.send(t, ipc.Drain{})
	client.mustEnd(t)
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}

// TestDrainFinishesDownload: a drain arrives in the middle of a big file, whose
// client takes its time.
func TestDrainFinishesDownload(t *testing.T) { eachEngine(t, drainFinishesDownload) }

func drainFinishesDownload(t *testing.T, engine string) {
	const size, before = 50 << 20, 1 << 20
	c, address, root := serveFolder(t, engine)
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(content) // never fails
	mustWrite(t, filepath.Join(root, "big"), content)

	client := mustDial(t, address)
	client.write(t, "GET /big HTTP/1.1\r\nHost: test\r\n\r\n")
	head, err := http.ReadResponse(client.answers, nil)
	if err != nil || head.ContentLength != size {
		t.Fatalf("answer: %+v, %v, want %d bytes", head, err, size)
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, head.Body, before); err != nil {
		t.Fatal(err)
	}
	c.send(t, ipc.Drain{Deadline: ipc.Monotonic() + int64(patience)})
	if m := c.receive(t); m != (ipc.Left{}) {
		t.Fatalf("the worker says %#v, want Left", m)
	}
	n, err := io.Copy(sum, head.Body)
	if err != nil || n != size-before {
		t.Errorf("the rest: %d bytes, %v, want %d", n, err, size-before)
	}
	if want := sha256.Sum256(content); string(sum.Sum(nil)) != string(want[:]) {
		t.Error("the file arrived changed")
	}
	client.mustEnd(t)
	c.mustSay(t)
	c.mustExit(t, 0, "")
}

// TestDrainCutsDownloadShort: the deadline ends what the client does not take.
func TestDrainCutsDownloadShort(t *testing.T) { eachEngine(t, drainCutsDownloadShort) }

func drainCutsDownloadShort(t *testing.T, engine string) {
	c, address, root := serveFolder(t, engine)
	mustWrite(t, filepath.Join(root, "big"), make([]byte, 50<<20))
	client := mustDial(t, address)
	client.write(t, "GET /big HTTP/1.1\r\nHost: test\r\n\r\n")
	if _, err := client.answers.Peek(1); err != nil {
		t.Fatal(err)
	}
	c.send(t, ipc.Drain{Deadline: ipc.Monotonic() + 1})
	c.mustSay(t, ipc.Left{})
	c.mustExit(t, 0, "")
}
