package static

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	indexName = "index.html"
	plainText = "text/plain; charset=utf-8"
	// wellKnown is the one name with a dot that is served, at the top only.
	wellKnown = ".well-known"
)

// Site is an http.Handler that serves the files of one folder.
type Site struct {
	root *os.Root
}

// Open opens the folder that is to be served. The caller calls Close.
func Open(folder string) (*Site, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err // it names the folder already
		}
		return nil, fmt.Errorf("serve the files of %q: %w: give root a folder that exists and can be read", folder, err)
	}
	return &Site{root: root}, nil
}

// Close closes the folder. Requests that come after it find nothing.
func (s *Site) Close() error {
	if err := s.root.Close(); err != nil {
		return fmt.Errorf("close root: %w", err)
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "method not allowed: %s — files answer GET and HEAD", r.Method)
		return
	}
	name, folder := resolve(r.URL.Path)
	if name == "" {
		notFound(w, r)
		return
	}
	f, err := s.open(name, folder)
	if err == errNeedsSlash {
		redirect(w, r, name)
		return
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer f.Close() // it was only read
	f.serve(w, r)
}

// resolve turns the path of a request into a name below the root. folder says that
// it ends with a slash. An empty name is one that is never there.
func resolve(requested string) (name string, folder bool) {
	if !strings.HasPrefix(requested, "/") || strings.ContainsRune(requested, 0) {
		return "", false
	}
	folder = strings.HasSuffix(requested, "/") || strings.HasSuffix(requested, "/.") || strings.HasSuffix(requested, "/..")
	name = strings.TrimPrefix(path.Clean(requested), "/") // of ".." at the top nothing is left
	if isHidden(name) {
		return "", false
	}
	if name == "" {
		return ".", true
	}
	return name, folder
}

func isHidden(name string) bool {
	if name == wellKnown || strings.HasPrefix(name, wellKnown+"/") {
		name = strings.TrimPrefix(name, wellKnown)
	}
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}

// redirect sends the client to the folder, so that relative links in its index
// mean the right thing.
func redirect(w http.ResponseWriter, r *http.Request, name string) {
	target := url.URL{Path: "/" + name + "/", RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", target.String())
	fail(w, http.StatusMovedPermanently, "moved permanently: %s", target.EscapedPath())
}

// refuse says as little as possible: to a client a name outside of the root, a
// folder without an index and a name that nobody ever used are the same.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		fail(w, http.StatusForbidden, "forbidden: %s", r.URL.EscapedPath())
	case isShortage(err):
		fail(w, http.StatusServiceUnavailable, "not now: %s — the server is short of something, try again", r.URL.EscapedPath())
	default:
		notFound(w, r)
	}
}

// isShortage tells errors that say nothing about the name.
func isShortage(err error) bool {
	for _, shortage := range []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO} {
		if errors.Is(err, shortage) {
			return true
		}
	}
	return false
}

func notFound(w http.ResponseWriter, r *http.Request) {
	// As it was sent: decoded it could hold anything.
	fail(w, http.StatusNotFound, "not found: %s", r.URL.EscapedPath())
}

func fail(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", plainText)
	w.WriteHeader(status)
	fmt.Fprintf(w, format+"\n", args...) // net/http leaves it out of an answer to HEAD
}
