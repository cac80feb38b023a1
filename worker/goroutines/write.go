package goroutines

import (
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// writeMax is what is written under one deadline: a client that takes less in
	// that time is given up.
	writeMax = 64 << 10
	// sendfileMax bounds one sendfile(2); it sends what the socket takes.
	sendfileMax = 1 << 20
)

// Write implements net.Conn.
func (c *conn) Write(p []byte) (written int, err error) {
	for {
		if !c.extendWrite() {
			return 0, c.failed("write", net.ErrClosed)
		}
		n, err := c.stream.Write(p[:min(len(p), writeMax)])
		written, p = written+n, p[n:]
		if err != nil || len(p) == 0 {
			return written, c.failed("write", err)
		}
	}
}

// extendWrite gives the client more time, unless the handler has set a deadline. It
// returns false when there is nothing to be written any more.
func (c *conn) extendWrite() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writeBy.IsZero() && c.phase != hijacked {
		// It fails if the connection is closed, and then the write does.
		_ = c.file.SetWriteDeadline(time.Now().Add(c.engine.config.WriteTimeout))
	}
	return !c.mute
}

// ReadFrom implements io.ReaderFrom: net/http calls it to send a file. The file's
// bytes then go from the kernel to the kernel.
func (c *conn) ReadFrom(from io.Reader) (n int64, err error) {
	file, limit := fileBehind(from)
	if file == nil || c.secure != nil {
		return io.Copy(writerOnly{c}, from)
	}
	n, err = c.sendFile(file, limit)
	if n == 0 && err == errNoSendfile {
		return io.Copy(writerOnly{c}, from)
	}
	if limited, ok := from.(*io.LimitedReader); ok {
		limited.N -= n
	}
	return n, c.failed("sendfile", err)
}

// writerOnly hides ReadFrom.
type writerOnly struct{ io.Writer }

// fileBehind returns the file that a reader reads, nil if it is something else,
// and how much of it; it may be less.
func fileBehind(from io.Reader) (file *os.File, limit int64) {
	const noLimit = 1<<63 - 1
	limit = noLimit
	if limited, ok := from.(*io.LimitedReader); ok {
		from, limit = limited.R, limited.N
	}
	file, _ = from.(*os.File)
	return file, limit
}

// sendFile sends up to limit bytes of a file, from where it is read.
func (c *conn) sendFile(file *os.File, limit int64) (sent int64, err error) {
	source, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := source.Control(func(fd uintptr) {
		for sent < limit {
			var n int
			n, err = c.sendSome(int(fd), int(min(limit-sent, sendfileMax)))
			sent += int64(max(n, 0))
			if n <= 0 || err != nil { // 0: the file's end
				return
			}
		}
	})
	if controlErr != nil {
		return sent, controlErr
	}
	return sent, err
}

// sendSome waits until the socket has room and sends what it takes.
func (c *conn) sendSome(source, limit int) (n int, err error) {
	c.extendWrite() // a file is sent by a handler, so there is something to be written
	waitErr := c.raw.Write(func(fd uintptr) bool {
		for {
			n, err = unix.Sendfile(int(fd), source, nil, limit)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if waitErr != nil {
		return 0, waitErr
	}
	switch err {
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP: // not a file that can be mapped
		return 0, errNoSendfile
	}
	return n, os.NewSyscallError("sendfile", err)
}
