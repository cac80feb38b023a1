package jobs

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
)

// outlet is where the body of an answer goes to that is too long to be held.
type outlet interface {
	io.Writer
	io.ReaderFrom
	// flush sends what has been written so far.
	flush() error
	// end sends the end of the body, if that is something to be sent.
	end() error
}

var (
	_ outlet = (*measured)(nil)
	_ outlet = (*chunks)(nil)
	_ outlet = (*open)(nil)
	_ outlet = nowhere{}
)

var errShort = errors.New("the answer is shorter than announced")

// measured is a body whose length was announced.
type measured struct {
	to   *client
	left int64
}

func (m *measured) Write(p []byte) (int, error) {
	if int64(len(p)) > m.left {
		return 0, http.ErrContentLength
	}
	n, err := m.to.Write(p)
	m.left -= int64(n)
	return n, err
}

func (m *measured) ReadFrom(from io.Reader) (int64, error) {
	if limited, ok := from.(*io.LimitedReader); !ok || limited.N > m.left {
		return io.Copy(struct{ io.Writer }{m}, from) // Write says when it is too much
	}
	n, err := m.to.ReadFrom(from)
	m.left -= n
	return n, err
}

func (m *measured) flush() error { return nil }

func (m *measured) end() error {
	if m.left > 0 {
		return errShort
	}
	return nil
}

// chunks is a body whose length nobody knows, in HTTP/1.1.
type chunks struct {
	buffer *bufio.Writer
	chunks io.WriteCloser // into buffer
}

func newChunks(to *client) *chunks {
	c := &chunks{buffer: bufio.NewWriter(to)}
	c.chunks = httputil.NewChunkedWriter(c.buffer)
	return c
}

func (c *chunks) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil // an empty chunk would be the end
	}
	return c.chunks.Write(p)
}

func (c *chunks) ReadFrom(from io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, from)
}

func (c *chunks) flush() error { return c.buffer.Flush() }

func (c *chunks) end() error {
	err := c.chunks.Close()
	if err == nil {
		_, err = c.buffer.Write(lineEnd) // no trailer
	}
	return errors.Join(err, c.buffer.Flush())
}

// open is a body that ends with the connection, in HTTP/1.0.
type open struct{ *client }

func (open) flush() error { return nil }
func (open) end() error   { return nil }

// nowhere is the body of an answer to HEAD, and of those that have none.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error)                  { return len(p), nil }
func (nowhere) ReadFrom(from io.Reader) (n int64, err error) { return io.Copy(io.Discard, from) }
func (nowhere) flush() error                                 { return nil }
func (nowhere) end() error                                   { return nil }
