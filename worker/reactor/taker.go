package reactor

// Taker gets the accepted connections of a loop in place of a [Handler], for
// engines that serve them by other means. What is left to the loop is to accept,
// to pause, to beat and to drain.
//
// Its methods are called on the loop and must not block.
type Taker interface {
	// Take gets a connection that was accepted just now: a non-blocking,
	// close-on-exec descriptor, which is the taker's from here on.
	Take(fd int)
	// TakeOver gets a connection that was another worker's, or that the taker has
	// offered and no heir has taken, see Loop.Offer: a descriptor as above, which is the
	// taker's from here on, between two messages or at the beginning of one. unread is
	// what was read from it already: the taker's, too.
	TakeOver(fd int, unread []byte)
	// Held is the number of taken connections that are still open, without those that
	// are offered. A drain is
	// complete when it is 0; a taker that closes its last one while the loop
	// drains wakes the loop, by any Post.
	Held() int
	// CutShort closes all of them: the deadline of a drain has passed, or the
	// loop has ended. Held is 0 afterwards.
	CutShort()
}

// nobody is the Taker of a loop that serves its connections itself.
type nobody struct{}

func (nobody) Take(int)             {}
func (nobody) TakeOver(int, []byte) {}
func (nobody) Held() int            { return 0 }
func (nobody) CutShort()            {}
