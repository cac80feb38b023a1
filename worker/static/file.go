package static

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"golang.org/x/sys/unix"
)

var (
	errNeedsSlash = errors.New("a folder, asked for without a slash")
	errNotServed  = errors.New("not a file that is served")
)

// file is a regular file, open for reading.
type file struct {
	*os.File
	info fs.FileInfo
}

// open opens what a name stands for: itself, or the index of the folder that it
// is.
func (s *Site) open(name string, folder bool) (file, error) {
	f, err := s.openOne(name)
	if err != nil {
		return file{}, err
	}
	if !f.info.IsDir() {
		return f.ifServed(!folder) // "name.txt/" is nothing
	}
	_ = f.Close() // it was only looked at
	index, err := s.openOne(joinIndex(name))
	if err != nil {
		return file{}, err
	}
	if index, err = index.ifServed(true); err != nil {
		return file{}, err
	}
	if !folder {
		_ = index.Close() // it is there, that was the question
		return file{}, errNeedsSlash
	}
	return index, nil
}

func joinIndex(folder string) string {
	if folder == "." {
		return indexName
	}
	return folder + "/" + indexName
}

// openOne does not wait for the other end of a named pipe: O_NONBLOCK (open(2)).
// For regular files it means nothing.
func (s *Site) openOne(name string) (file, error) {
	f, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return file{}, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // the first error says more
		return file{}, err
	}
	return file{File: f, info: info}, nil
}

// ifServed closes what is not served: pipes, sockets, devices, and what the
// request makes no sense for.
func (f file) ifServed(wanted bool) (file, error) {
	if wanted && f.info.Mode().IsRegular() {
		return f, nil
	}
	_ = f.Close() // it was only looked at
	return file{}, errNotServed
}

// serve answers with the file. Its ETag lets a client that has it ask by
// If-None-Match, and go on with the rest of it by If-Range.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	changed := f.info.ModTime()
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, changed.UnixNano(), f.info.Size()))
	http.ServeContent(w, r, f.info.Name(), changed, f.File)
}
