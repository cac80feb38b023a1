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

// HandOverError reports that connections were not handed over. Nothing is lost by
// that: who gives them serves on with them.
type HandOverError struct {
	Giving bool // we give; false: we take
	// Left is how many connections of a parcel we had no room for: the hand-over goes on.
	// 0: it has ended.
	Left int
	Err  error
}

func (e *HandOverError) Error() string {
	switch {
	case e.Giving:
		return fmt.Sprintf("give connections: %v: this heir gets no more, and what it has not taken is served on here", e.Err)
	case e.Left > 0:
		return fmt.Sprintf("take connections: %v: %d stay where they are, and their worker tries again", e.Err, e.Left)
	}
	return fmt.Sprintf("take connections: %v: this worker gets no more from there, and what it has not taken is served on there", e.Err)
}

func (e *HandOverError) Unwrap() error { return e.Err }

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
