package reactor

import "fmt"

// PanicError reports that a handler panicked; its connection was closed.
type PanicError struct {
	Value any
	Stack []byte // of the handler's goroutine, as debug.Stack formats it
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("handler panicked: %v: its connection was closed, the others go on", e.Value)
}

// AcceptError reports that accepting on a listening socket pauses, or has
// ended because the socket accepts no more.
type AcceptError struct {
	FD     int
	Paused bool // accepting goes on by itself; false: this socket is out of the loop
	Err    error
}

func (e *AcceptError) Error() string {
	if e.Paused {
		return fmt.Sprintf("accept on fd %d: %v: accepting pauses and is tried again every %v", e.FD, e.Err, acceptPause)
	}
	return fmt.Sprintf("accept on fd %d: %v: this listening socket is served no more", e.FD, e.Err)
}

func (e *AcceptError) Unwrap() error { return e.Err }
