package proto

import (
	"bufio"
	"bytes"
	"errors"
	"net"

	"github.com/valyala/fasthttp"

	"prefork/worker/reactor"
)

// What a zero field of HTTPConfig stands for.
const (
	MaxHeaderDefault = 8 << 10
	MaxBodyDefault   = 1 << 20
	WholeBodyDefault = 64 << 10
)

// streamMax bounds an answer whose body comes from an io.Reader, in bytes, where
// there is nobody to send it as it comes.
const streamMax = 64 << 20

// HTTPConfig says what an HTTP serves and what it puts up with.
type HTTPConfig struct {
	// App answers the requests. Required, unless whoever Send sends them to does it. It
	// runs on the loop and must not block, unless Place says otherwise; the package
	// comment says what works in its RequestCtx.
	App fasthttp.RequestHandler
	// Send sends a request away from the loop: what Place says, bodies longer than
	// WholeBody, answers whose body is a stream. See package jobs. nil: there is nowhere
	// else, all is done on the loop.
	Send func(*Job, Place)
	// Place says where a request is answered, once it is there as a whole. It runs on
	// the loop. nil: on the loop as well.
	Place func(*fasthttp.RequestCtx) Place
	// WholeBody is the longest body that the loop holds, in bytes, if there is Send.
	// 0: 64 KiB.
	WholeBody int
	// MaxHeader bounds a request's line and header fields together, in bytes;
	// beyond: 431. 0: 8 KiB.
	MaxHeader int
	// MaxBody bounds a request's decoded body, in bytes; beyond: 413. 0: 1 MiB.
	MaxBody int
	// Identity, if not empty, is the value of a Prefork-Worker header in every
	// answer.
	Identity string
	// Draining says whether a connection should end with the answer at hand,
	// usually (*reactor.Loop).Draining. nil: never.
	Draining func() bool
	// Answered is called once for each request answered, refused ones
	// included. nil: nobody counts.
	Answered func()
	// Addresses returns the ends of the connection whose request is at hand, nil for
	// one that it does not know; usually (*reactor.Loop).Addresses. It is called when
	// App asks for them. nil: nobody knows.
	Addresses func() (local, remote net.Addr)
}

// HTTP is what the HTTP connections of one loop share: the configuration and
// one of each of fasthttp's objects, since the loop answers one request at a
// time. It is for that loop's goroutine alone.
type HTTP struct {
	config HTTPConfig
	limits limits

	exchange *exchange    // nil: the application has kept it
	frame    frame        // of a message that has come as a whole
	target   fasthttp.URI // only to see whether the request's is well-formed
	source   bytes.Reader
	reader   *bufio.Reader // over source
	printer  printer
}

// NewHTTP prepares an HTTP; zero fields of config get their defaults.
func NewHTTP(config HTTPConfig) *HTTP {
	if config.MaxHeader <= 0 {
		config.MaxHeader = MaxHeaderDefault
	}
	if config.MaxBody <= 0 {
		config.MaxBody = MaxBodyDefault
	}
	if config.Draining == nil {
		config.Draining = func() bool { return false }
	}
	if config.Answered == nil {
		config.Answered = func() {}
	}
	if config.WholeBody <= 0 {
		config.WholeBody = WholeBodyDefault
	}
	h := &HTTP{config: config, limits: limits{header: config.MaxHeader, body: config.MaxBody, whole: config.WholeBody, stream: streamMax}}
	// fasthttp parses a header only as a whole, inside its reader's buffer.
	h.reader = bufio.NewReaderSize(&h.source, config.MaxHeader)
	return h
}

// NewHandler returns the handler of a new connection, a [reactor.Reuser] and
// [reactor.Portable].
func (h *HTTP) NewHandler() reactor.Handler { return &httpConn{http: h} }

// MaxInput is what reactor.Config.MaxInput must be, so that the largest
// message fits that is to be seen whole.
func (h *HTTP) MaxInput() int {
	if h.config.Send != nil {
		return h.limits.header + h.limits.whole + 1 // see isLong
	}
	return h.limits.message()
}

// httpConn is one connection's conversation. All that it remembers from call
// to call is how far the message at hand has come.
type httpConn struct {
	http  *HTTP
	frame *frame // of a message that has come in part; nil: it begins with the next byte
	// afterPost: an empty line may follow.
	afterPost bool
}

// Reuse implements reactor.Reuser.
func (c *httpConn) Reuse() { *c = httpConn{http: c.http} }

// packedAfterPost is all that an httpConn packs, if it packs anything.
const packedAfterPost = "p"

var errPacked = errors.New("this is not the state of an HTTP connection")

// Pack implements reactor.Portable. A header that has come in part travels as unread
// input, and is searched anew.
func (c *httpConn) Pack() (packed []byte, ok bool) {
	if c.frame != nil && c.frame.header > 0 {
		return nil, false // its body is on the way
	}
	if c.afterPost {
		return []byte(packedAfterPost), true
	}
	return nil, true
}

// Unpack implements reactor.Portable.
func (c *httpConn) Unpack(packed []byte) error {
	if string(packed) != packedAfterPost {
		return errPacked
	}
	c.afterPost = true
	return nil
}

// Handle implements reactor.Handler: it answers the first message of in, once
// it is there as a whole.
func (c *httpConn) Handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	if c.afterPost {
		// Browsers of old ended a form with an empty line more than they had
		// announced (RFC 9112, section 2.2).
		if len(in) == 1 && in[0] == lineEnd[0] {
			return 0, out, reactor.Header
		}
		c.afterPost = false
		if bytes.HasPrefix(in, lineEnd) {
			return len(lineEnd), out, reactor.Idle
		}
	}
	return c.handle(in, out)
}

func (c *httpConn) handle(in, out []byte) (consumed int, output []byte, next reactor.Phase) {
	h := c.http
	if h.exchange == nil {
		h.exchange = newExchange(h.config.Addresses)
	}
	f := c.resume()
	begun := f.header > 0 // by an earlier call
	v := complete
	if !begun {
		if v = h.begin(f, in); v == complete {
			out = h.appendContinue(out)
		}
	}
	if v == complete {
		v = h.finish(f, in, begun)
	}
	switch {
	case v == incomplete && h.isLong(f, in):
		c.afterPost = h.exchange.ctx.IsPost()
		h.config.Send(h.newBodyJob(f, in), OnGoroutine)
		consumed, c.frame = f.header, nil
		return consumed, out, reactor.Away
	case v == incomplete:
		return 0, out, c.suspend(f)
	case v != complete:
		return 0, h.refuse(&h.printer, h.exchange, out, v), reactor.Close
	}
	consumed, c.frame = f.end, nil
	c.afterPost = h.exchange.ctx.IsPost() // BEFORE the application can change it
	output, next = h.answer(out, len(in) > consumed)
	return consumed, output, next
}

// resume returns the frame of the message at hand. Most messages come as a whole, and
// share one.
func (c *httpConn) resume() *frame {
	if c.frame != nil {
		return c.frame
	}
	c.http.frame = frame{}
	return &c.http.frame
}

// suspend keeps the frame of a message that has not come as a whole yet.
func (c *httpConn) suspend(f *frame) reactor.Phase {
	if c.frame == nil {
		kept := *f
		c.frame = &kept
	}
	if f.header == 0 {
		return reactor.Header
	}
	return reactor.Body
}

// begin reads the header, once it is there as a whole, and what it says about
// the body.
func (h *HTTP) begin(f *frame, in []byte) verdict {
	if v := f.findHeader(in, h.limits); v != complete {
		return v
	}
	if v := h.readHeader(in[:f.header]); v != complete {
		return v
	}
	return f.expectBody(h.exchange.ctx.Request.Header.ContentLength(), h.limits)
}

// finish reads the body, once it is there as a whole. A header that an earlier
// call has read is read again: the exchange is shared, and other connections have used
// it since.
func (h *HTTP) finish(f *frame, in []byte, again bool) verdict {
	if v := f.findEnd(in, h.limits); v != complete {
		return v
	}
	if again {
		if v := h.readHeader(in[:f.header]); v != complete {
			return v
		}
	}
	if f.length == chunked {
		if found, ok := readFields(in[f.searched:f.end]); !ok || found != (fields{}) {
			return badRequest
		}
	}
	return h.readBody(in[f.header:f.end])
}

// readHeader has fasthttp parse a header into the exchange. It must use up the whole
// block: fasthttp takes a bare line feed for the end of a line, and where
// others disagree about the end of the header, one request becomes two.
func (h *HTTP) readHeader(block []byte) verdict {
	request := &h.exchange.ctx.Request // empty, but for a header that fasthttp forgets
	h.read(block)
	if err := request.Header.Read(h.reader); err != nil || h.unread() > 0 {
		return badRequest
	}
	if v := checkHeader(&request.Header, block); v != complete {
		return v
	}
	if err := h.target.Parse(request.Header.Host(), request.Header.RequestURI()); err != nil {
		return badRequest
	}
	return complete
}

// readBody has fasthttp decode the body, after readHeader. It leaves forms
// alone: parsing them early would write large files to disk.
func (h *HTTP) readBody(body []byte) verdict {
	const parseForms = false
	if len(body) > 0 {
		h.read(body)
	}
	if err := h.exchange.ctx.Request.ContinueReadBody(h.reader, h.limits.body, parseForms); err != nil || h.unread() > 0 {
		return badRequest
	}
	return complete
}

func (h *HTTP) read(data []byte) {
	h.source.Reset(data)
	if h.reader.Buffered() > 0 { // else it begins with the source anyway
		h.reader.Reset(&h.source)
	}
}

func (h *HTTP) unread() int { return h.reader.Buffered() + h.source.Len() }
