package jobs

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// client is a lent connection to write to. A client that takes not one byte within
// timeout is given up, as by the loop.
type client struct {
	net.Conn
	timeout time.Duration
}

// Write implements io.Writer.
func (c *client) Write(p []byte) (written int, err error) {
	for {
		if err := c.extend(); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:])
		if written += n; !goesOn(n, err) {
			return written, err
		}
	}
}

// ReadFrom implements io.ReaderFrom: a file goes from the kernel to the kernel.
func (c *client) ReadFrom(from io.Reader) (read int64, err error) {
	to, ok := c.Conn.(io.ReaderFrom)
	if !ok || !isFile(from) {
		return io.Copy(struct{ io.Writer }{c}, from)
	}
	for {
		if err := c.extend(); err != nil {
			return read, err
		}
		n, err := to.ReadFrom(from)
		if read += n; !goesOn(int(min(n, 1)), err) {
			return read, err
		}
	}
}

// isFile: from anything else bytes would be read that a deadline then loses.
func isFile(from io.Reader) bool {
	if limited, ok := from.(*io.LimitedReader); ok {
		from = limited.R
	}
	_, ok := from.(*os.File)
	return ok
}

func (c *client) extend() error { return c.SetWriteDeadline(time.Now().Add(c.timeout)) }

// goesOn says that the deadline has passed while the client was taking bytes.
func goesOn(n int, err error) bool { return n > 0 && errors.Is(err, os.ErrDeadlineExceeded) }

// isCutOff tells errors of the connection from those of what comes over it.
func isCutOff(err error) bool {
	var failed net.Error
	return errors.As(err, &failed) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
