package goroutines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prefork/worker/reactor"
)

// handle is a handler with one route for each thing that a handler can do.
func handle(t testing.TB) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", mirror)
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("as\nordered") })
	mux.HandleFunc("/panic-late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(errors.New("late"))
	})
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/nothing", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "after hints")
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, _ *http.Request) {
		c, both, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		go func() { // a handler may return long before
			line, _ := both.ReadString('\n')
			_, _ = io.WriteString(c, "taken over: "+line)
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
			_ = c.Close()
		}()
	})
	mux.HandleFunc("/addresses", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr, " ", r.Context().Value(http.LocalAddrContextKey))
	})
	mux.HandleFunc("/deadline", func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		if err := errors.Join(control.SetWriteDeadline(time.Unix(1, 0)), control.EnableFullDuplex(), control.SetReadDeadline(time.Time{})); err != nil {
			t.Errorf("control: %v", err)
		}
		if _, err := w.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v, want the handler's own deadline", err)
		}
	})
	return mux
}

func request(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// A panic costs its connection, and one report.
func TestPanic(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/panic": "as\nordered", "/panic-late": "late", "/abort": ""} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			r := serve(t, Config{Handler: handle(t)})
			other := r.dial(t)
			other.write(get)
			other.expect(200, mirrored)
			c := r.dial(t)
			c.write(request(path))
			got, err := io.ReadAll(c.read)
			if err != nil || bytes.HasSuffix(got, []byte("0\r\n\r\n")) {
				t.Errorf("got %q, %v, want an end in the middle", got, err)
			}
			other.write(get)
			other.expect(200, mirrored)
			reports := r.reported()
			if want == "" && len(reports) == 0 {
				return
			}
			var panicked *reactor.PanicError
			if len(reports) != 1 || !errors.As(reports[0], &panicked) || fmt.Sprint(panicked.Value) != want || !bytes.Contains(panicked.Stack, []byte("handler_test.go")) {
				t.Errorf("reports are %v, want one panic %q with its stack", reports, want)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const identity = "slot=2 incarnation=5 generation=3 pid=4242"
	r := serve(t, Config{Handler: handle(t), Identity: identity})
	for _, path := range []string{"/", "/nothing", "/no/such"} {
		c := r.dial(t)
		c.write(request(path))
		if response, _ := c.answer(); response.Header.Get("Prefork-Worker") != identity {
			t.Errorf("%s: header is %v", path, response.Header)
		}
	}
	c := r.dial(t)
	c.write("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	if response, _ := c.answer(); response.Header.Get("Prefork-Worker") != identity {
		t.Errorf("OPTIONS *: header is %v", response.Header)
	}
	c = r.dial(t)
	c.write(request("/hints"))
	if hints, _ := c.answer(); hints.StatusCode != http.StatusEarlyHints || len(hints.Header) > 0 {
		t.Errorf("hints are %s %v, want no header", hints.Status, hints.Header)
	}
	if got := c.expect(200, "after hints").Header.Get("Prefork-Worker"); got != identity {
		t.Errorf("after hints: identity %q", got)
	}
}

// A hijacked connection is the handler's: no lingering, no deadline. A drain waits
// for it.
func TestHijack(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{Handler: handle(t), IdleTimeout: short})
	c := r.dial(t)
	c.write(request("/hijack"))
	until(t, "it is hijacked", func() bool {
		all := r.open()
		if len(all) != 1 {
			return false
		}
		all[0].mu.Lock()
		defer all[0].mu.Unlock()
		return all[0].phase == hijacked
	})
	r.drain(t)
	c.write("hello\n")
	if got, err := io.ReadAll(c.read); string(got) != "taken over: hello\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	r.wait(t)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	r := newRig(t, Config{Handler: handle(t)})
	fd, path := listenUnix(t)
	must(t, r.Listen(fd))
	r.run(t)
	c := r.dial(t)
	c.write(request("/addresses"))
	c.expect(200, c.LocalAddr().String()+" "+r.address)
	local, err := net.Dial("unix", path)
	must(t, err)
	c = r.newClient(t, local)
	c.write(request("/addresses"))
	c.expect(200, "@ "+path)
}

func TestHandlersOwnDeadline(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{Handler: handle(t)})
	c := r.dial(t)
	c.write(request("/deadline"))
	_, _ = io.ReadAll(c.read) // an end of some kind
}

// A form with a file of unknown length leaves no file behind.
func TestUploadLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // not parallel
	r := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(0); err != nil {
			t.Errorf("parse form: %v", err)
		}
		files, err := filepath.Glob(dir + "/multipart-*")
		fmt.Fprint(w, len(files), err)
	})})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("a", "b")
	must(t, err)
	_, err = part.Write(make([]byte, 100<<10))
	must(t, err)
	must(t, form.Close())
	c := r.dial(t)
	c.write(strings.Replace(chunked(body.String()), "Host: a", "Host: a\r\nContent-Type: "+form.FormDataContentType(), 1))
	c.expect(200, "1 <nil>")
	until(t, "the file is removed", func() bool {
		files, err := filepath.Glob(dir + "/multipart-*")
		return len(files) == 0 && err == nil
	})
}

// What net/http complains about is one line a second.
func TestComplaints(t *testing.T) {
	t.Parallel()
	r := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			w.WriteHeader(http.StatusOK)
		}
	})})
	c := r.dial(t)
	c.write(get)
	c.answer()
	reports := r.reported()
	if len(reports) == 0 || len(reports) > 10 || !strings.Contains(reports[0].Error(), "superfluous") || strings.Contains(reports[0].Error(), "\n") {
		t.Errorf("reports are %q, want a few about superfluous calls", reports)
	}
}

// Files reach the client whole, from where they are read, as far as asked.
func TestSendFile(t *testing.T) {
	t.Parallel()
	content := make([]byte, 5<<20)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, content, 0o600))
	for name, test := range map[string]struct {
		reader func(*os.File) io.Reader
		want   []byte
	}{
		"whole":              {func(f *os.File) io.Reader { return f }, content[1000:]},
		"part":               {func(f *os.File) io.Reader { return io.LimitReader(f, 2<<20) }, content[1000 : 1000+2<<20]},
		"more than is there": {func(f *os.File) io.Reader { return io.LimitReader(f, 1<<40) }, content[1000:]},
		"no file":            {func(f *os.File) io.Reader { return bytes.NewReader(content) }, content},
		"pipe":               {func(f *os.File) io.Reader { return pipeOf(t, content) }, content},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				_, _ = f.Seek(1000, io.SeekStart)
				w.Header().Set("Content-Length", fmt.Sprint(len(test.want)))
				reader := test.reader(f)
				n, err := w.(io.ReaderFrom).ReadFrom(reader)
				if err != nil || n != int64(len(test.want)) {
					t.Errorf("sent %d, %v, want %d", n, err, len(test.want))
				}
				if limited, ok := reader.(*io.LimitedReader); ok && name == "part" && limited.N != 0 {
					t.Errorf("the reader would read %d bytes more", limited.N)
				}
			})})
			c := r.dial(t)
			c.write(get)
			if _, body := c.answer(); body != string(test.want) {
				t.Errorf("got %d bytes that differ from the %d wanted", len(body), len(test.want))
			}
			c.write(get)
			c.answer() // the connection goes on
		})
	}
}

// pipeOf is a file that sendfile refuses.
func pipeOf(t testing.TB, content []byte) *os.File {
	read, write, err := os.Pipe()
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { read.Close() })
	go func() {
		_, _ = write.Write(content) // fails when the reader is closed
		write.Close()
	}()
	return read
}

// A client that has gone cancels the request's context, as always with net/http.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	entered, gone := make(chan struct{}), make(chan struct{})
	r := serve(t, Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(gone)
	})})
	c := r.dial(t)
	c.write(get)
	<-entered
	must(t, c.Close())
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the handler does not learn that its client has gone")
	}
}
