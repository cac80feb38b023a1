package load

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Class says what became of a request.
type Class uint8

const (
	_ Class = iota // not ended yet; no request of a report is
	// answered is the one good end: status 200 and a complete body, in time.
	answered
	// unsent: the generator had no connection, port, descriptor or memory for
	// it. No byte left, so it says nothing about the server.
	unsent

	// Refused: nothing listened (ECONNREFUSED).
	Refused
	// Reset: the server's side answered with RST (ECONNRESET).
	Reset
	// TimedOut: not answered within Config.Timeout of the moment it was due.
	TimedOut
	// ClosedEarly: the server closed in order (FIN) before the answer was
	// complete, or had closed the kept connection before the request.
	ClosedEarly
	// BadAnswer: not HTTP, not status 200, or bytes after the answer's end.
	BadAnswer

	classes = iota // how many there are
)

var classNames = [classes]string{"under way", "answered", "unsent", "refused", "reset", "timeout", "closed", "bad_answer"}

// String is the name that reports use.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// MarshalText lets a Class be a key of a JSON object.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// errTimeout is what a request meets that the server did not answer in time.
var errTimeout = fmt.Errorf("not answered in time: %w", os.ErrDeadlineExceeded)

// errNoConnection is what a request meets that never got a connection.
var errNoConnection = openError{errors.New("no connection was free before its timeout")}

// openError marks an error that came before a connection stood.
type openError struct{ err error }

func (e openError) Error() string { return e.err.Error() }
func (e openError) Unwrap() error { return e.err }

// classify is the only place that turns an error into a class.
func classify(err error) Class {
	var opening openError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET):
		return Reset
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, errTimeout):
		return TimedOut
	case errors.As(err, &opening):
		// Everything else that opening can meet (EADDRNOTAVAIL, EMFILE, ENOBUFS,
		// ENETUNREACH) is this side's trouble.
		return unsent
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		// EPIPE: the RST that answers a write after the server's FIN; Linux
		// reports it so for a socket in CLOSE_WAIT (tcp_reset in tcp_input.c).
		return ClosedEarly
	default:
		return BadAnswer
	}
}
