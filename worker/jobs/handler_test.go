package jobs

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prefork/worker/proto"
)

// A Handler answers as it does on net/http's server.
func TestHandlerAsOnNetHTTP(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	changed := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, size := range map[string]int{"empty": 0, "short.txt": 1000, "edge": wholeAnswerMax, "long.bin": 3_000_000} {
		content := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, content, 0o644))
		must(t, os.Chtimes(path, changed, changed))
	}
	files := http.FileServer(http.Dir(folder))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/status":
			w.Header().Add("X-Two", "a")
			w.Header().Add("X-Two", "b")
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK) // too late
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/untyped":
			_, _ = io.WriteString(w, "<html><body>guess")
		case "/unmeasured":
			for range 100 {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 10_000))
			}
		case "/about":
			fmt.Fprintf(w, "%s %s %s %s %q %v", r.Method, r.RequestURI, r.Host, r.Proto, r.Header.Get("X-Some"), r.ContentLength)
		default:
			files.ServeHTTP(w, r)
		}
	})
	theirs := httptest.NewUnstartedServer(handler)
	theirs.Config.ErrorLog = log.New(io.Discard, "", 0) // of the second WriteHeader
	theirs.Start()
	defer theirs.Close()
	ours := serve(t, proto.HTTPConfig{}, Config{Handler: handler})

	ranged := func(path, ranges string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: a\r\nRange: bytes=" + ranges + "\r\n\r\n"
	}
	for _, sent := range []string{
		"GET /short.txt HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /edge HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /long.bin HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD /short.txt HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD /long.bin HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /long.bin HTTP/1.0\r\n\r\n",
		"GET /unmeasured HTTP/1.0\r\n\r\n",
		"GET /unmeasured HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD /unmeasured HTTP/1.1\r\nHost: a\r\n\r\n",
		ranged("/short.txt", "0-9"), ranged("/short.txt", "-1"), ranged("/short.txt", "2000-"),
		ranged("/long.bin", "100-2000000"), ranged("/long.bin", "2999990-"), ranged("/long.bin", "0-0,-1"),
		ranged("/long.bin", "0-999999,1500000-2500000"),
		"GET /long.bin HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n",
		"GET /long.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\nIf-Range: Tue, 24 Nov 2026 11:00:00 GMT\r\n\r\n",
		"GET /status HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /untyped HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /about?x=%20y HTTP/1.1\r\nHost: a:80\r\nX-Some: thing\r\n\r\n",
		"POST /about HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"GET /short.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	} {
		got, want := answerOf(t, ours.address, sent), answerOf(t, theirs.Listener.Addr().String(), sent)
		if got != want {
			t.Errorf("%.60q:\ngot  %.400q\nwant %.400q", sent, got, want)
		}
	}
}

// answerOf is an answer without what two servers may do differently: the boundary of
// parts, the date, and who says it. A body is given by its digest.
func answerOf(t *testing.T, address, sent string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(patienceOfTests)))
	_, err = io.WriteString(c, sent)
	must(t, err)
	method, _, _ := strings.Cut(sent, " ")
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	if _, boundary, parted := strings.Cut(response.Header.Get("Content-Type"), "boundary="); parted {
		response.Header.Set("Content-Type", strings.ReplaceAll(response.Header.Get("Content-Type"), boundary, "-"))
		body = bytes.ReplaceAll(body, []byte(boundary), []byte("-"))
	}
	response.Header.Del("Date")
	if method == http.MethodHead && response.ContentLength < 0 {
		response.TransferEncoding = nil // we say how GET would have been framed, they do not
	}
	return fmt.Sprintf("%s %v close=%v chunked=%v length=%d %s", response.Status, response.Header, response.Close,
		response.TransferEncoding, response.ContentLength, digest(body))
}
