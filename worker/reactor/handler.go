package reactor

// Handler is one connection's protocol. It runs on the loop and must not
// block: while it runs, every other connection of this worker waits.
//
// Handle gets all input that is still unread and appends its answers to out.
// It deals with at most one message for each call (the loop calls again while
// input remains and was consumed) and returns how many bytes it consumed, out
// with the answers appended, and the phase that the connection is in now.
//
// Consuming nothing means that the message is incomplete: the same bytes come
// again, with more behind them. A handler that consumes nothing although
// Config.MaxInput bytes are there will never be satisfied: the connection
// is closed.
//
// When the client has closed its side, what it sent before is still answered;
// a message that stays incomplete is dropped without another call.
//
// in and out belong to the loop and are valid during the call only.
type Handler interface {
	Handle(in, out []byte) (consumed int, output []byte, next Phase)
}

// Reuser is a Handler that serves one connection after another, of one loop. Reuse
// comes when the connection that it has served is closed, and must make it like a
// new one. It saves the loop a handler for each short connection.
type Reuser interface {
	Handler
	Reuse()
}

// reused returns the handler of a closed connection, ready for another one; nil:
// that one needs a new handler.
func reused(h Handler) Handler {
	r, ok := h.(Reuser)
	if !ok {
		return nil
	}
	r.Reuse()
	return r
}

// Phase says where in its conversation a connection stands, which decides
// which deadline applies. A deadline starts when the phase changes and when
// input is consumed; bytes that only pile up do not extend it, so a client
// that drips bytes gets no more time than one that sends none.
//
// A new connection starts in Header: its first message is on its way, and a
// drain waits for it.
type Phase uint8

const (
	// Idle: between messages. IdleTimeout applies, and a drain gives it away or closes
	// it.
	Idle Phase = iota
	// Header: a message has begun and it is not known how it goes on.
	// HeaderTimeout applies.
	Header
	// Body: the head of a message is known, the rest is awaited. BodyTimeout
	// applies.
	Body
	// Away: the message is worked on elsewhere, see Loop.Lend. No timeout of ours
	// applies, nothing is read, and Handle is not called before that has ended.
	Away
	// Close: flush the answers, then close. Handle is not called again.
	Close
)

func (p Phase) String() string {
	switch p {
	case Idle:
		return "idle"
	case Header:
		return "header"
	case Body:
		return "body"
	case Away:
		return "away"
	case Close:
		return "close"
	}
	return "unknown phase"
}
