package static

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// changed is when every file of the tests was changed.
var changed = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// newSite makes a folder with files, and beside it what nobody may see.
func newSite(t *testing.T) (*Site, string) {
	t.Helper()
	parent := t.TempDir()
	root := filepath.Join(parent, "root")
	for name, content := range map[string]string{
		"secret.txt":                    "secret",
		"root/index.html":               "<p>index",
		"root/page.html":                "<p>page",
		"root/plain.txt":                "0123456789",
		"root/a b+%.txt":                "odd name",
		"root/sub/index.html":           "<p>sub",
		"root/sub/deep.txt":             "deep",
		"root/bare/file.txt":            "bare",
		"root/bare2/index.html/x":       "x",
		"root/.env":                     "secret",
		"root/.git/config":              "secret",
		"root/sub/.hidden/f":            "secret",
		"root/.well-known/security.txt": "known",
		"root/.well-known/.not":         "secret",
		"root/sub/.well-known/x":        "secret",
		"root/...":                      "secret",
		"root/closed.txt":               "closed",
	} {
		path := filepath.Join(parent, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
		must(t, os.Chtimes(path, changed, changed))
	}
	for name, target := range map[string]string{
		"inside.txt":  "sub/deep.txt",
		"out.txt":     "../secret.txt",
		"abs.txt":     filepath.Join(parent, "secret.txt"),
		"absin.txt":   filepath.Join(root, "plain.txt"),
		"outdir":      "..",
		"loop":        "loop",
		"nowhere.txt": "no/such/file",
		"subdir":      "sub",
	} {
		must(t, os.Symlink(target, filepath.Join(root, name)))
	}
	must(t, unix.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	must(t, os.Chmod(filepath.Join(root, "closed.txt"), 0))
	site, err := Open(root)
	must(t, err)
	t.Cleanup(func() { must(t, site.Close()) })
	return site, root
}

// ask sends a request whose path is exactly as given, as a hostile client can.
func ask(site http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI = target
	if u, err := url.ParseRequestURI(target); err == nil {
		r.URL = u
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	return w
}

func TestServes(t *testing.T) {
	t.Parallel()
	site, _ := newSite(t)
	for _, test := range []struct{ target, kind, body string }{
		{"/", "text/html; charset=utf-8", "<p>index"},
		{"/index.html", "text/html; charset=utf-8", "<p>index"},
		{"/page.html", "text/html; charset=utf-8", "<p>page"},
		{"/plain.txt?query", "text/plain; charset=utf-8", "0123456789"},
		{"/a%20b+%25.txt", "text/plain; charset=utf-8", "odd name"},
		{"/sub/", "text/html; charset=utf-8", "<p>sub"},
		{"/subdir/", "text/html; charset=utf-8", "<p>sub"},
		{"//sub///deep.txt", "text/plain; charset=utf-8", "deep"},
		{"/sub/./../plain.txt", "text/plain; charset=utf-8", "0123456789"},
		{"/../plain.txt", "text/plain; charset=utf-8", "0123456789"},
		{"/.git/../plain.txt", "text/plain; charset=utf-8", "0123456789"},
		{"/inside.txt", "text/plain; charset=utf-8", "deep"},
		{"/.well-known/security.txt", "text/plain; charset=utf-8", "known"},
	} {
		w := ask(site, http.MethodGet, test.target)
		if w.Code != http.StatusOK || w.Body.String() != test.body || w.Header().Get("Content-Type") != test.kind {
			t.Errorf("%s: %d %s %q, want 200 %s %q", test.target, w.Code, w.Header().Get("Content-Type"), w.Body, test.kind, test.body)
		}
	}
}

func TestHides(t *testing.T) {
	t.Parallel()
	site, root := newSite(t)
	for _, target := range []string{
		"/no/such", "/plain.txt/", "/plain.txt/x", "/bare", "/bare/", "/bare/.", "/bare2", "/bare2/",
		"/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/sub/../../secret.txt", "/..%5csecret.txt", "/%2e%2e%2f%2e%2e%2fetc/passwd",
		"/out.txt", "/abs.txt", "/absin.txt", "/outdir/secret.txt", "/outdir/", "/loop", "/nowhere.txt", root + "/plain.txt",
		"/.env", "/.git/config", "/.git", "/.git/", "/sub/.hidden/f", "/sub/../.env", "/%2eenv", "/...",
		"/.well-known", "/.well-known/", "/.well-known/.not", "/sub/.well-known/x", "/.well-known2/x",
		"/plain.txt%00", "/%00", "/plain.txt%00.html", "/pipe", "/" + strings.Repeat("x", 5000), "*",
	} {
		w := ask(site, http.MethodGet, target)
		if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "secret\n") || !strings.HasPrefix(w.Body.String(), "not found: ") {
			t.Errorf("%s: %d %.80q, want 404", target, w.Code, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); kind != plainText {
			t.Errorf("%s: refused as %q", target, kind)
		}
	}
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	site, _ := newSite(t)
	if w := ask(site, http.MethodGet, "/closed.txt"); w.Code != http.StatusForbidden {
		t.Errorf("%d %q, want 403", w.Code, w.Body)
	}
}

func TestRedirectsToFolder(t *testing.T) {
	t.Parallel()
	site, root := newSite(t)
	must(t, os.MkdirAll(filepath.Join(root, "ä?", "b"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "ä?", "b", "index.html"), nil, 0o644))
	for target, want := range map[string]string{
		"/sub":            "/sub/",
		"/sub?a=b&c":      "/sub/?a=b&c",
		"//sub":           "/sub/",
		"/%C3%A4%3F/b":    "/%C3%A4%3F/b/",
		"//host/../sub":   "/sub/",
		"/%0d%0ax/../sub": "/sub/",
	} {
		w := ask(site, http.MethodGet, target)
		if got := w.Header().Get("Location"); w.Code != http.StatusMovedPermanently || got != want {
			t.Errorf("%s: %d to %q, want 301 to %q", target, w.Code, got, want)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	site, _ := newSite(t)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND"} {
		w := ask(site, method, "/plain.txt")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, allow %q, want 405", method, w.Code, w.Header().Get("Allow"))
		}
	}
	w := ask(site, http.MethodHead, "/plain.txt")
	if w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "10" {
		t.Errorf("HEAD: %d, %d bytes, length %s", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

func TestConditionsAndRanges(t *testing.T) {
	t.Parallel()
	site, root := newSite(t)
	first := ask(site, http.MethodGet, "/plain.txt")
	tag, date := first.Header().Get("ETag"), first.Header().Get("Last-Modified")
	if want := fmt.Sprintf(`"%x-a"`, changed.UnixNano()); tag != want || date != "Tue, 24 Nov 2026 12:00:00 GMT" {
		t.Errorf("ETag %s, Last-Modified %s, want %s and the time of change", tag, date, want)
	}
	for _, test := range []struct {
		name   string
		header []string
		status int
		body   string
	}{
		{"same tag", []string{"If-None-Match", tag}, 304, ""},
		{"other tag", []string{"If-None-Match", `"x"`}, 200, "0123456789"},
		{"not changed since", []string{"If-Modified-Since", date}, 304, ""},
		{"changed since", []string{"If-Modified-Since", "Mon, 23 Nov 2026 12:00:00 GMT"}, 200, "0123456789"},
		{"tag before date", []string{"If-None-Match", `"x"`, "If-Modified-Since", date}, 200, "0123456789"},
		{"only if other", []string{"If-Match", `"x"`}, 412, ""},
		{"range", []string{"Range", "bytes=2-4"}, 206, "234"},
		{"open range", []string{"Range", "bytes=7-"}, 206, "789"},
		{"suffix", []string{"Range", "bytes=-2"}, 206, "89"},
		{"no such range", []string{"Range", "bytes=10-"}, 416, "invalid range: failed to overlap\n"},
		{"nonsense range", []string{"Range", "lines=1"}, 416, "invalid range\n"},
		{"rest of the same", []string{"Range", "bytes=7-", "If-Range", tag}, 206, "789"},
		{"rest of another", []string{"Range", "bytes=7-", "If-Range", `"x"`}, 200, "0123456789"},
	} {
		w := ask(site, http.MethodGet, "/plain.txt", test.header...)
		if w.Code != test.status || w.Body.String() != test.body {
			t.Errorf("%s: %d %q, want %d %q", test.name, w.Code, w.Body, test.status, test.body)
		}
	}
	w := ask(site, http.MethodGet, "/plain.txt", "Range", "bytes=0-1,8-9")
	if w.Code != 206 || !strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/byteranges") {
		t.Errorf("two ranges: %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	must(t, os.WriteFile(filepath.Join(root, "plain.txt"), []byte("9876543210"), 0o644))
	if again := ask(site, http.MethodGet, "/plain.txt").Header().Get("ETag"); again == tag {
		t.Error("a changed file of the same length has the same ETag")
	}
}

// The folder stays the one that was opened.
func TestRootIsPinned(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	for _, release := range []string{"1", "2"} {
		must(t, os.Mkdir(filepath.Join(parent, release), 0o755))
		must(t, os.WriteFile(filepath.Join(parent, release, "index.html"), []byte(release), 0o644))
	}
	current := filepath.Join(parent, "current")
	must(t, os.Symlink("1", current))
	old, err := Open(current)
	must(t, err)
	defer old.Close()
	must(t, os.Remove(current))
	must(t, os.Symlink("2", current))
	next, err := Open(current)
	must(t, err)
	defer next.Close()
	for want, site := range map[string]*Site{"1": old, "2": next} {
		if got := ask(site, http.MethodGet, "/").Body.String(); got != want {
			t.Errorf("got release %s, want %s", got, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for folder, want := range map[string]string{
		file + "/none": `file/none": not a directory: give root a folder`,
		file:           `file": not a directory: give root a folder`,
		"/no/such":     `serve the files of "/no/such": no such file or directory: give root a folder that exists and can be read`,
		"":             `serve the files of "": no such file or directory`,
	} {
		site, err := Open(folder)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, %v, want an error with %q", folder, site, err, want)
		}
	}
}

// A closed site answers, and serves nothing.
func TestClosedSite(t *testing.T) {
	t.Parallel()
	site, err := Open(t.TempDir())
	must(t, err)
	must(t, site.Close())
	if w := ask(site, http.MethodGet, "/"); w.Code != http.StatusNotFound {
		t.Errorf("%d, want 404", w.Code)
	}
}

// FuzzResolve: whatever the path, the name is one that os.Root would accept, and
// hides what begins with a dot.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"/", "/a/../b/", "//x/./y", "/.well-known/a", "/..", "/.git", "a", "/\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, requested string) {
		name, folder := resolve(requested)
		if name == "" {
			return
		}
		if !filepath.IsLocal(name) || strings.HasSuffix(name, "/") || strings.ContainsRune(name, 0) {
			t.Errorf("%q became %q", requested, name)
		}
		for i, part := range strings.Split(name, "/") {
			if strings.HasPrefix(part, ".") && name != "." && (i > 0 || part != wellKnown) {
				t.Errorf("%q became %q, which shows %q", requested, name, part)
			}
		}
		if again, _ := resolve("/" + name); name != "." && again != name {
			t.Errorf("%q became %q, and that %q (folder %v)", requested, name, again, folder)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefuseByClass(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		unix.EMFILE:  503,
		unix.ENFILE:  503,
		unix.EIO:     503,
		unix.EACCES:  403,
		unix.ENOENT:  404,
		unix.ELOOP:   404,
		unix.ENOTDIR: 404,
	} {
		w := httptest.NewRecorder()
		refuse(w, httptest.NewRequest(http.MethodGet, "/x", nil), &os.PathError{Op: "openat", Path: "x", Err: err})
		if w.Code != want {
			t.Errorf("%v: %d, want %d", err, w.Code, want)
		}
	}
}
